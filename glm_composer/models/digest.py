"""A name for weights by their content, the same whatever they lie in."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """`sha256:HEX` of tensors by name: of each name, type, shape and bytes, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        # A copy: memory that numpy has seen cannot be freed by FSDP2.
        tensor = tensors[name].detach().to("cpu", copy=True).contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"


def weights_digest(network: nn.Module) -> str:
    """`digest_of` a network's weights in fp32, whatever type it holds them in.

    They must be whole: of sharded weights a rank has its part only.
    """
    return digest_of(
        {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in _weights(network).items()
        }
    )


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """What `state_dict` has, which would take weights apart again that FSDP2 holds whole."""
    found: dict[str, Tensor] = dict(network.named_parameters(remove_duplicate=False))
    for path, module in network.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            # torch has no public list of these.
            if name not in module._non_persistent_buffers_set:
                found[f"{path}.{name}" if path else name] = buffer
    return found
