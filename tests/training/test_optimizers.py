"""Which parameters an optimizer decays and orthogonalises, and every step against its formula."""

import multiprocessing
import tempfile

import pytest
import torch
from torch import nn

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import optimizers
from glm_composer.training.optimizers.muon import orthogonalise


def bytenet() -> nn.Module:
    return build_bytenet(ByteNetConfig(width=8, layers=2))


def transformer() -> nn.Module:
    return build_transformer(
        TransformerConfig(width=8, layers=2, heads=2, mlp_width=8, conv_layers=1, stem_kernel=3)
    )


def build(name: str, model: nn.Module, **settings) -> torch.optim.Optimizer:
    return optimizers.get(name)(optimizers.settings(name)(**settings), model)


def names_by(optimizer: torch.optim.Optimizer, model: nn.Module, key: str) -> dict:
    names = {parameter: name for name, parameter in model.named_parameters()}
    found: dict = {}
    for group in optimizer.param_groups:
        found.setdefault(group[key], []).extend(names[each] for each in group["params"])
    return found


@pytest.mark.parametrize("name", optimizers.names())
@pytest.mark.parametrize("make", [bytenet, transformer])
def test_all_decay_but_norms_and_biases(name, make):
    model = make()
    model.biased = nn.Linear(2, 2)
    found = names_by(build(name, model, weight_decay=0.1), model, "weight_decay")
    assert sorted(found[0.1] + found[0.0]) == sorted(dict(model.named_parameters()))
    assert all("norm" in each or each == "biased.bias" for each in found[0.0])
    assert not any("norm" in each or "bias" in each.split(".")[-1] for each in found[0.1])
    assert {"embedding.weight", "decoder.weight"} <= set(found[0.1])


@pytest.mark.parametrize("make", [bytenet, transformer])
def test_muon_takes_what_lies_between_the_two_ends(make):
    model = make()
    found = names_by(build("muon", model), model, "orthogonal")
    norms = [name for name, _ in model.named_parameters() if "norm" in name]
    assert sorted(found[False]) == sorted(["embedding.weight", "decoder.weight", *norms])
    assert any(name.endswith("conv.weight") for name in found[True])


@pytest.mark.parametrize("name", optimizers.names())
def test_frozen_parameters_are_left_out(name):
    model = bytenet()
    model.encoder[0].requires_grad_(False)
    optimizer = build(name, model)
    held = {each for group in optimizer.param_groups for each in group["params"]}
    assert held == {each for each in model.parameters() if each.requires_grad}


def test_adamw_is_fused():
    optimizer = build("adamw", bytenet())
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("shape", [(5, 16, 40), (5, 40, 16), (1, 1, 7)])
def test_orthogonalised_singular_values_are_near_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = orthogonalise(matrices).float()
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    singular = (u.mT @ found @ vt.mT).diagonal(dim1=1, dim2=2)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    # In the basis of the matrix's own directions nothing but the diagonal is left.
    rest = u.mT @ found @ vt.mT - torch.diag_embed(singular)
    assert rest.abs().max() < 0.03
    assert not orthogonalise(torch.zeros(shape)).any()


def naive_muon(weight, gradients, lr, decay, momentum) -> torch.Tensor:
    """Muon as its papers write it, in fp64 with exact singular values where ours are near 1."""
    matrix, average = weight.double().flatten(1), torch.zeros_like(weight.double().flatten(1))
    for gradient in gradients:
        gradient = gradient.double().flatten(1)
        average = momentum * average + (1 - momentum) * gradient
        u, _, vt = torch.linalg.svd(
            momentum * average + (1 - momentum) * gradient, full_matrices=False
        )
        scale = 0.2 * max(matrix.shape) ** 0.5
        matrix = matrix - lr * (scale * u @ vt + decay * matrix)
    return matrix.view_as(weight)


def naive_adamw(weight, gradients, lr, decay) -> torch.Tensor:
    weight, first, second = weight.double(), 0.0, 0.0
    for step, gradient in enumerate((each.double() for each in gradients), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        update = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        weight = weight - lr * (update + decay * weight)
    return weight


@pytest.mark.parametrize("make", [bytenet, transformer])
def test_muon_follows_its_formula(make):
    torch.manual_seed(1)
    model = make()
    optimizer = build("muon", model, lr=0.1, weight_decay=0.3)
    orthogonal = set(optimizer.param_groups[0]["params"])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    gradients = [{name: torch.randn_like(p) for name, p in before.items()} for _ in range(3)]
    for each in gradients:
        for name, parameter in model.named_parameters():
            parameter.grad = each[name]
        optimizer.step()
    for name, parameter in model.named_parameters():
        mine = [each[name] for each in gradients]
        if parameter not in orthogonal:
            decay = 0.3 if parameter.ndim >= 2 else 0.0
            expected = naive_adamw(before[name], mine, 0.1, decay).float()
            torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=1e-6)
            continue
        moved = parameter - before[name]
        expected = (naive_muon(before[name], mine, 0.1, 0.3, 0.95) - before[name]).float()
        cosine = nn.functional.cosine_similarity(moved.flatten(), expected.flatten(), dim=0)
        assert cosine > 0.98, name
        assert float(moved.norm() / expected.norm()) == pytest.approx(1.0, abs=0.3), name


def test_muons_entries_are_as_large_as_adamws():
    """So its rate carries over: the root mean square of an update is 0.2 x the rate."""
    torch.manual_seed(2)
    model = build_bytenet(ByteNetConfig(width=64, layers=1))
    optimizer = build("muon", model, lr=1.0, weight_decay=0.0)
    before = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    for parameter, was in zip(optimizer.param_groups[0]["params"], before, strict=True):
        size = (parameter - was).square().mean().sqrt()
        assert 0.14 < size < 0.26, parameter.shape


@pytest.mark.parametrize("name", optimizers.names())
def test_saved_and_loaded_it_goes_on_bitwise(name):
    def steps(model, optimizer, numbers):
        for number in numbers:
            torch.manual_seed(number)
            ids = torch.randint(3, 7, (2, 12))
            model(ids).logsumexp(-1).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(3)
    whole = transformer()
    optimizer = build(name, whole)
    steps(whole, optimizer, range(3))
    parts = transformer()
    parts.load_state_dict(whole.state_dict())
    rest = build(name, parts)
    with tempfile.TemporaryFile() as file:
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        rest.load_state_dict(torch.load(file))
    steps(whole, optimizer, range(3, 6))
    steps(parts, rest, range(3, 6))
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def train_rank(rank: int, rendezvous: str, name: str, results) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    model = transformer()
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    parallel = nn.parallel.DistributedDataParallel(model)
    optimizer = build(name, model)
    for step in range(5):
        torch.manual_seed(100 * rank + step)
        parallel(torch.randint(3, 7, (2, 12))).logsumexp(-1).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    results.put((rank, weights.numpy(), before.numpy()))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("name", optimizers.names())
def test_ranks_end_bitwise_equal(name, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    arguments = [(rank, str(tmp_path / "rendezvous"), name, results) for rank in range(2)]
    ranks = [context.Process(target=train_rank, args=each) for each in arguments]
    for process in ranks:
        process.start()
    found = {rank: (weights, before) for rank, weights, before in (results.get() for _ in ranks)}
    for process in ranks:
        process.join()
    assert found[0][0].tobytes() == found[1][0].tobytes()
    assert (found[0][0] != found[0][1]).any()
