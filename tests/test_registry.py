"""Builders by name: built-ins, and a throw-away plugin package that is really installed."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from glm_composer import registry
from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.registry import Registry

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Settings:
    name: str = "one"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("models", {"bytenet", "transformer"}),
        ("objectives", {"mlm"}),
        ("optimizers", {"adamw"}),
        ("schedules", {"constant", "cosine", "linear", "wsd"}),
        ("callbacks", {"profiler"}),
        ("sources", {"genome", "package"}),
        ("windowings", {"promoters", "tiles"}),
    ],
)
def test_built_ins_are_found_with_their_settings(kind, expected):
    found = getattr(registry, kind)
    assert found.names() == sorted(found.names())
    assert expected <= set(found.names())
    for name in expected:
        # A section's settings say by which name they were asked for.
        assert found.settings(name).__dataclass_fields__["name"].default == name
        file, line = found.where(name).rsplit(":", 1)
        assert Path(file).is_relative_to(REPOSITORY / "glm_composer")
        written = "".join(Path(file).read_text().splitlines(keepends=True)[int(line) - 1 :][:3])
        assert f'{kind}.register("{name}")' in written


def test_what_a_name_gives():
    assert registry.models.get("bytenet") is build_bytenet
    assert registry.models.settings("bytenet") is ByteNetConfig
    first = inspect.getsourcelines(build_bytenet)[1]
    assert registry.models.where("bytenet").endswith(f"models/bytenet.py:{first}")


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError) as error:
        registry.schedules.get("cosinus")
    names = ", ".join(registry.schedules.names())
    assert str(error.value) == f"unknown name 'cosinus' in schedules; valid names: {names}"


def test_functions_and_classes_can_be_registered():
    kind = Registry("test_kind_of_functions_and_classes")

    @kind.register("function")
    def build(settings: Settings, more: int) -> None:
        """Build."""

    @kind.register("class")
    class Build:
        def __init__(self, settings: Settings):
            self.settings = settings

    assert kind.names() == ["class", "function"]
    assert kind.get("function") is build
    assert kind.get("class") is Build
    assert kind.settings("function") is kind.settings("class") is Settings


def test_kinds_are_kept_apart():
    one, other = Registry("test_kind_one"), Registry("test_kind_other")
    one.register("x")(build_bytenet)
    assert one.names() == ["x"]
    assert other.names() == []


PLUGIN = '''
from dataclasses import dataclass

from pydantic import PositiveInt
from torch import nn

from glm_composer.evaluation.scores import MaskedSites, Score
from glm_composer.models.language_model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class TinyConfig:
    """Settings."""

    name: str = "tiny"
    width: PositiveInt = 6


def build_tiny(config: TinyConfig) -> LanguageModel:
    """Build a model without an encoder."""
    return LanguageModel(config.width, nn.Identity(), nn.LayerNorm(config.width))


def build_certainty(causal: bool) -> Score:
    """Build the largest logit of a masked site, times 10."""
    return Score(MaskedSites, lambda sites: sites.logits.max(1), lambda values: 10 * values)
'''

ENTRY_POINTS = """
[glm_composer.models]
tiny = plugin_for_tests:build_tiny
bytenet = plugin_for_tests:build_tiny
broken = no_such_module_anywhere:build
unsettled = plugin_for_tests:build_certainty

[glm_composer.scores]
certainty = plugin_for_tests:build_certainty
"""

USE = """
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from glm_composer.errors import UserError
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import score_names, score_variants
from glm_composer.registry import models
from glm_composer.settings import dump, load, named


@dataclass(frozen=True, kw_only=True)
class Run:
    model: Any = named(models)


def refusal(override):
    try:
        load(Run, "run.yaml", [override])
    except UserError as error:
        return str(error)


run = load(Run, "run.yaml", ["model.width=8"])
network = models.get(run.model.name)(run.model)
with open("dump.yaml", "w") as file:
    file.write(dump(run))
with evaluating(network):
    predictor = Predictor(network.embed, network.decoder, 2, causal=False)
    window, ref, alt = (np.array(each, np.uint8) for each in ([list(b"ACGT")], [5], [3]))
    scored = score_variants(predictor, window, ref, alt, ["certainty"], strands="forward")
    masked = network(torch.tensor([[3, 4, 1, 6]]))[0, 2, 3:]
print(json.dumps({
    "names": models.names(),
    "shape": list(network(torch.zeros(2, 5, dtype=torch.uint8)).shape),
    "width": network.width,
    "again": load(Run, "dump.yaml") == run,
    "where": models.where("tiny"),
    "bytenet": models.where("bytenet"),
    "scores": score_names(),
    "certainty": [float(scored["certainty"][0]), 10 * float(masked.max())],
    "refusals": [
        refusal(f"model.{each}")
        for each in ("widht=8", "width=0", "name=tinny", "name=broken", "name=unsettled")
    ],
}))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What the script finds beside a package as pip installs one, in a process of its own."""
    path = tmp_path_factory.mktemp("plugin")
    (path / "plugin_for_tests.py").write_text(PLUGIN)
    info = path / "plugin_for_tests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-for-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (path / "run.yaml").write_text("model: {name: tiny}")
    (path / "use.py").write_text(USE)
    done = subprocess.run(
        [sys.executable, "use.py"],
        cwd=path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", str(path))]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"warnings": done.stderr.splitlines()}


def test_a_plugin_is_used_like_a_built_in(result):
    assert result["shape"] == [2, 5, 7]
    assert result["width"] == 8
    assert result["again"]
    assert "plugin_for_tests.py:" in result["where"]


def test_a_plugin_adds_a_score(result):
    assert {"certainty", "LLR"} <= set(result["scores"])
    found, expected = result["certainty"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_built_in_wins_over_a_plugin_of_its_name_with_one_warning(result):
    assert "glm_composer/models/bytenet.py:" in result["bytenet"]
    said = [line for line in result["warnings"] if "'bytenet'" in line]
    assert said == [
        "models: 'bytenet' of plugin-for-tests 1.0 is not used: a built-in has that name; rename "
        "the plugin"
    ]


FAILED = "ModuleNotFoundError: No module named 'no_such_module_anywhere'"


def test_a_plugin_that_cannot_be_imported_is_named_once_and_left_out(result):
    assert result["names"] == ["bytenet", "tiny", "transformer", "unsettled"]
    said = [line for line in result["warnings"] if "'broken'" in line]
    assert said == [f"models: 'broken' of plugin-for-tests 1.0 is left out, it failed: {FAILED}"]


def test_a_plugins_settings_are_checked_alike(result):
    names = "valid names: bytenet, tiny, transformer, unsettled"
    assert result["refusals"] == [
        "run.yaml: unknown key 'model.widht'; did you mean 'model.width'? valid keys: name, width",
        "run.yaml: 'model.width' = 0: input should be greater than 0",
        f"run.yaml: 'model.name': unknown name 'tinny' in models; {names}; did you mean 'tiny'?",
        "run.yaml: 'model.name': unknown name 'broken' in models, the plugin of plugin-for-tests "
        f"1.0 failed: {FAILED}; {names}",
        "run.yaml: 'model.name': 'unsettled' in models: the plugin of plugin-for-tests 1.0 has no "
        "settings: the first parameter of plugin_for_tests:build_certainty must be annotated with "
        "a dataclass that has a field 'name'",
    ]
