"""A sharded network on two real ranks, without Composer: gradients, evaluation, and back."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import start_processes

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.digest import weights_digest
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.training.optimizers.muon import MuonConfig, build_muon
from glm_composer.training.parallel import shard, whole

IDS = torch.randint(7, (2, 3, 40), generator=torch.Generator().manual_seed(0))


def build(name: str) -> LanguageModel:
    torch.manual_seed(0)
    if name == "bytenet":
        return build_bytenet(ByteNetConfig(width=8, layers=2))
    # Nine rows of a matrix lie on rank 0, eight on rank 1.
    return build_transformer(
        TransformerConfig(width=8, layers=2, heads=2, mlp_width=17, stem_kernel=3)
    )


def loss(model: LanguageModel, ids: Tensor) -> Tensor:
    """As `GenomicModel` calls a network: never its forward."""
    return model.decoder(model.embed(ids)).square().mean()


def step(model: nn.Module) -> dict[str, Tensor]:
    optimizer = build_muon(MuonConfig(lr=1e-2), model)
    found = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        found[name] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient.clone()
    optimizer.step()
    return found


def on_a_rank(rank: int, name: str, compiled: bool, directory: Path) -> None:
    torch.set_num_threads(1)
    where = f"file://{directory}/meeting"
    distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=2)
    alone, model = build(name), build(name)
    ((loss(alone, IDS[0]) + loss(alone, IDS[1])) / 2).backward()
    shard(model, compiled)
    layers = [module for module in model.encoder if not isinstance(module, nn.ModuleList)]
    assert all(isinstance(layer, FSDPModule) for layer in layers)
    assert all(isinstance(each, DTensor) for each in model.parameters())
    with whole(model):
        # Of one rank: it takes no part of the weights away, nor waits for the other.
        assert rank == 1 or weights_digest(model) == weights_digest(alone)
        assert not isinstance(model.decoder.weight, DTensor)
    loss(model, IDS[rank]).backward()
    expected, found = step(alone), step(model)
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient)
    with torch.no_grad():
        after = loss(alone, IDS[0])
        for _ in range(2):
            with whole(model), whole(model):
                # Rank 0 alone: as many calls as it likes, and weights to read.
                for _ in range(3 if rank == 0 else 0):
                    torch.testing.assert_close(loss(model, IDS[0]), after)
                    one, its_own = model.embed(IDS[0], None, 7), alone.embed(IDS[0])[:, 7]
                    torch.testing.assert_close(one, its_own)
                assert not isinstance(model.decoder.weight, DTensor)
            assert all(isinstance(each, DTensor) for each in model.parameters())
        torch.testing.assert_close(loss(model, IDS[0]), after)
    loss(model, IDS[rank]).backward()
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["transformer", "bytenet"])
def test_two_ranks_of_shares_are_one_network(name, compiled, tmp_path):
    # Not forked: a test before this one may have left its process group behind.
    start_processes(on_a_rank, (name, compiled, tmp_path), nprocs=2, start_method="spawn")
