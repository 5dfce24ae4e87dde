"""Throw-away packages that pip builds and installs, one of them broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

MODELS = '''
from dataclasses import dataclass

from torch import nn

from glm_composer.models.language_model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class Settings:
    name: str = "thrown_away"
    width: int = 8


def build(config: Settings) -> LanguageModel:
    """Build a model without an encoder."""
    return LanguageModel(config.width, nn.Identity(), nn.LayerNorm(config.width))
'''
BROKEN = "\nimport no_such_library_at_all\n"
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "2.5"

[project.entry-points."glm_composer.models"]
{entries}

[tool.setuptools]
py-modules = ["{module}"]
"""
ENTRIES = {
    "whole": 'thrown_away = "whole_for_tests:build"\nbytenet = "whole_for_tests:build"',
    "broken": 'falls_apart = "broken_for_tests:build"\nthrown_away = "broken_for_tests:build"',
}


@pytest.fixture(scope="module")
def glm(tmp_path_factory):
    """Runs `glm` where both packages are installed."""
    site = tmp_path_factory.mktemp("site")
    sources = []
    for name, code in (("whole", MODELS), ("broken", BROKEN)):
        source = tmp_path_factory.mktemp(name)
        module = f"{name}_for_tests"
        (source / f"{module}.py").write_text(code)
        # The whole one is first in the alphabet, and has the name they share.
        project = f"a-{name}" if name == "whole" else f"b-{name}"
        (source / "pyproject.toml").write_text(
            PROJECT.format(name=project, entries=ENTRIES[name], module=module)
        )
        sources.append(str(source))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(site), *sources],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "glm_composer", *words],
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{REPOSITORY}"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    run.site = site
    return run


REASON = "ModuleNotFoundError: No module named 'no_such_library_at_all'"


@pytest.mark.slow
def test_ls_names_what_is_used_what_is_hidden_and_what_failed(glm):
    done = glm("plugins", "ls", "models")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    names = [(row[1], row[2]) for row in rows]
    assert names == [
        ("bytenet", "glm-composer"),
        ("bytenet", "a-whole"),
        ("falls_apart", "b-broken"),
        ("thrown_away", "a-whole"),
        ("transformer", "glm-composer"),
    ]
    assert "not used: a built-in has that name" in done.stdout
    assert f"failed: {REASON} ({glm.site}/broken_for_tests.py:2)" in done.stdout
    warnings = sorted(done.stderr.splitlines())
    assert [line.partition(":")[2][:40] for line in warnings] == [
        " 'bytenet' of a-whole 2.5 is not used: a",
        " 'falls_apart' of b-broken 2.5 is left o",
        " 'thrown_away' of b-broken 2.5 is not us",
    ]


@pytest.mark.slow
def test_a_yaml_uses_the_whole_one_and_is_told_of_the_broken(glm, tmp_path):
    yaml = tmp_path / "run.yaml"
    yaml.write_text("{run_name: x, data: {path: x}, model: {name: thrown_away}}")
    done = glm("config", "show", str(yaml), "model.width=16")
    assert done.returncode == 0, done.stderr
    assert "name: thrown_away" in done.stdout
    assert "width: 16" in done.stdout
    done = glm("config", "show", str(yaml), "model={name: falls_apart}")
    assert done.returncode == 2
    assert "unknown name 'falls_apart' in models, the plugin of b-broken 2.5 failed" in done.stderr
    assert REASON in done.stderr


@pytest.mark.slow
def test_find_shows_file_and_line(glm):
    done = glm("plugins", "find", "thrown_away")
    assert done.returncode == 0, done.stderr
    assert f"{glm.site}/whole_for_tests.py:" in done.stdout
    line = int(done.stdout.splitlines()[1].rpartition(":")[2])
    assert MODELS.splitlines()[line - 1].startswith("def build(")
