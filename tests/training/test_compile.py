"""The compiled network is one graph for each shape, and stays so over training and evaluation."""

import functools
from dataclasses import dataclass

import pytest
import torch
from test_parallel import rows
from torch._dynamo.utils import counters

from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import models
from glm_composer.training.build import build_model, build_trainer

# All forward passes of one shape, with gradients or without: two graphs.
COMMON = ["device_eval_batch_size=16", "eval_interval=2ba", "scheduler={name: constant}"]
MODELS = {
    "transformer": "model.layers=2",
    "bytenet": "model={name: bytenet, width: 16, layers: 3}",
}


@dataclass(frozen=True, kw_only=True)
class BrokenConfig(TransformerConfig):
    """A transformer whose forward pass dynamo cannot follow."""

    name: str = "broken_for_tests"


class Break(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return x


@models.register("broken_for_tests")
def build_broken(config: BrokenConfig) -> LanguageModel:
    """Build it."""
    model = build_transformer(config)
    model.norm = torch.nn.Sequential(model.norm, Break(), torch.nn.LayerNorm(config.width))
    return model


@pytest.fixture
def graphs(configure, monkeypatch):
    """Trains and evaluates; losses, and how many graphs there were after each step."""

    def count(backend: str, *overrides: str):
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
        torch._dynamo.reset()
        counters.clear()
        config = configure(*COMMON, "compile=true", f"run_name={backend}", *overrides)
        trainer = build_trainer(config)
        found = []
        for _ in range(2):
            trainer.fit(duration="4ba")
            found.append(counters["stats"]["unique_graphs"])
        trainer.close()
        return rows(config.run_dir), found

    yield count
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_one_graph_to_train_and_one_to_evaluate(graphs, name):
    _, found = graphs("eager", MODELS[name])
    assert found == [2, 2]
    assert not counters["graph_break"]
    # Each of the two was compiled in one piece, and nothing was compiled again.
    assert counters["frames"] == {"total": 2, "ok": 2}


@pytest.mark.slow
def test_a_network_that_breaks_would_be_noticed(graphs):
    sizes = "width: 16, layers: 1, heads: 2, mlp_width: 32"
    graphs("eager", f"model={{name: broken_for_tests, {sizes}}}")
    assert counters["graph_break"]


@pytest.mark.slow
def test_graphs_are_not_given_up_where_there_are_many(configure, monkeypatch):
    """Torch alone compiles no more than eight forms of a function."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    counters.clear()
    config = configure("compile=true", MODELS["bytenet"])
    model = build_model(config).eval()
    ids = torch.full((1, 64), 3)
    with torch.no_grad():
        for position in range(20, 32):
            model.embed(ids, None, position)
    assert counters["stats"]["unique_graphs"] == 12
