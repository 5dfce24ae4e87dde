"""Weights, gradients and optimizer state cut over ranks with torch's FSDP2, layer by layer.

Not through Composer 0.32.1's `parallelism_config`: that gathers weights for `forward` only, and
here `embed` and `decoder` are called. Composer takes a model that is sharded already for what it
is: no DDP around it, and checkpoints of whole tensors, which a run on any number of ranks, sharded
or not, loads.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch import distributed as torch_dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Replicate

from glm_composer.models.compiled import allow_many_graphs
from glm_composer.models.language_model import LanguageModel


def shard(model: LanguageModel, compiled: bool = False) -> None:
    """Shard a network over all ranks, in place; ranks must hold equal weights.

    Each layer and the decoder become a unit, whose weights are whole only while it computes; what
    little is left stays whole from a step's forward to its backward pass. Weights travel in fp32,
    so that losses are DDP's.

    Args:
        model: the network, on any device; afterwards on the ranks' own.
        compiled: compile each layer; a whole network would break at every unit's border.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (torch_dist.get_world_size(),))
    if compiled:
        allow_many_graphs()
    for layer in _layers(model.encoder):
        if compiled:
            layer.compile()
        fully_shard(layer, mesh=mesh)
    fully_shard(model.decoder, mesh=mesh)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "embed")
    if not _averages(device):
        for unit in _units(model):
            unit.set_all_reduce_hook(_divide)


def _layers(encoder: nn.Module) -> Iterator[nn.Module]:
    for child in encoder.children():
        # torch refuses lists, which are seldom called.
        yield from _layers(child) if isinstance(child, nn.ModuleList) else [child]


def _units(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _averages(device: str) -> bool:
    """Whether reduce-scatter averages where it is asked to; gloo of torch 2.7 silently sums."""
    ranks = torch_dist.get_world_size()
    ones, mean = torch.ones(ranks, device=device), torch.empty(1, device=device)
    torch_dist.reduce_scatter_tensor(mean, ones, op=torch_dist.ReduceOp.AVG)
    return mean.item() == 1


def _divide(gradient: Tensor) -> None:
    gradient.div_(torch_dist.get_world_size())


def gather(share: Tensor) -> Tensor:
    """All of a tensor that is cut over ranks, on each of them; others stay as they are."""
    return share.full_tensor() if isinstance(share, DTensor) else share


def cut(tensor: Tensor, like: Tensor) -> Tensor:
    """This rank's share of a tensor that all ranks hold, cut as `like` is, if it is."""
    if not isinstance(like, DTensor):
        return tensor
    everywhere = [Replicate() for _ in like.placements]
    held = DTensor.from_local(tensor, like.device_mesh, everywhere, run_check=False)
    return held.redistribute(placements=like.placements)


def let_go(model: nn.Module) -> None:
    """Leave each rank its share of the weights alone, which evaluation may have left it whole.

    What is read and written of the model afterwards is what training goes on with.
    """
    for unit in _units(model):
        unit.reshard()


@contextlib.contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Hold all weights on every rank, so that ranks may call the model unequally often.

    Enter and leave it on all ranks; a model that is not sharded stays as it is.
    """
    held = []
    for unit in _units(model):
        group = unit._get_fsdp_state()._fsdp_param_group
        # None without weights of its own; and what is held already stays so for whoever holds it.
        if group is None or (group.is_unsharded and group.post_forward_mesh_info is None):
            continue
        held.append((unit, group, group.post_forward_mesh_info))
        unit.unshard()
        # torch 2.7 has no public switch for not resharding after forward.
        group.post_forward_mesh_info = None
    try:
        yield
    finally:
        for unit, group, information in held:
            group.post_forward_mesh_info = information
            unit.reshard()
