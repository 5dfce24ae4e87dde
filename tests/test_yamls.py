"""Every shipped yaml says what it is for, parses and builds."""

from pathlib import Path

import pytest
import torch

from glm_composer.config import Config
from glm_composer.conversion.config import ConvertConfig
from glm_composer.registry import models, objectives, optimizers, schedules
from glm_composer.settings import dump, load

REPOSITORY = Path(__file__).parents[1]
YAMLS = sorted((REPOSITORY / "yamls").rglob("*.yaml"))
CONVERSIONS = [path for path in YAMLS if path.parent.name == "convert"]
RUNS = [path for path in YAMLS if path not in CONVERSIONS]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_the_promised_ones_are_there():
    promised = "quickstart gpn_promoter debug/fast debug/overfit debug/profile"
    promised += " rope/tiny rope/small rope/base rope/large"
    promised += " learning/rope learning/bytenet"
    assert {f"yamls/{each}.yaml" for each in promised.split()} <= {name(path) for path in RUNS}
    assert {path.stem for path in CONVERSIONS} >= {"yeast", "drosophila"}


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_first_line_says_what_it_is_for(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_run_builds_and_its_dump_reads_back(path, tmp_path):
    config = load(Config, path)
    with torch.device("meta"):
        model = models.get(config.model.name)(config.model)
        optimizers.get(config.optimizer.name)(config.optimizer, model)
    objectives.get(config.objective.name)(config.objective)
    schedules.get(config.scheduler.name)(config.scheduler)
    (tmp_path / "dumped.yaml").write_text(dump(config))
    assert load(Config, tmp_path / "dumped.yaml") == config


@pytest.mark.parametrize("path", CONVERSIONS, ids=name)
def test_conversion_parses_and_its_dump_reads_back(path, tmp_path):
    config = load(ConvertConfig, path)
    (tmp_path / "dumped.yaml").write_text(dump(config))
    assert load(ConvertConfig, tmp_path / "dumped.yaml") == config


def test_gpn_promoter_is_the_reference_recipe():
    config = load(Config, REPOSITORY / "yamls/gpn_promoter.yaml")
    with torch.device("meta"):
        model = models.get(config.model.name)(config.model)
    assert sum(parameter.numel() for parameter in model.parameters()) == 152_189_952
    assert config.global_train_batch_size == 2048
    assert (config.data.soft_mask_weight, config.data.eval_soft_mask_weight) == (0.01, 0.0)
    table = config.evaluation.tables["mendelian_promoter"]
    assert table.variants == "songlab/TraitGym"
    assert (table.dataset, table.subset) == (
        "mendelian_traits_matched_9",
        "nonexonic_AND_proximal",
    )
    assert (table.scores[0], table.window, table.strands) == ("LLR.minus.score", 512, "both")


@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 3.4), ("small", 25.7), ("base", 85), ("large", 304)]
)
def test_rope_sizes_have_the_parameters_that_they_say(size, millions):
    path = REPOSITORY / f"yamls/rope/{size}.yaml"
    model = load(Config, path).model
    with torch.device("meta"):
        built = models.get(model.name)(model)
    # Attention, SwiGLU and their norms, queries' and keys' norms; embedding, decoder, final norm.
    width, head = model.width, model.width // model.heads
    layer = 4 * width**2 + 3 * width * model.mlp_width + 2 * width + 2 * head
    expected = model.layers * layer + 2 * 7 * width + width
    assert sum(parameter.numel() for parameter in built.parameters()) == expected
    assert expected / 1e6 == pytest.approx(millions, rel=0.01)
    first = path.read_text().splitlines()[0]
    assert f"{size}: {model.layers} x {width}, {expected:,} parameters" in first
    assert [model.qk_norm, model.attention] == [True, ["global", "local", "local"]]
