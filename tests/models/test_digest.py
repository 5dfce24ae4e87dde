"""A digest is of names, types, shapes and bytes, and of the values in fp32."""

import hashlib

import numpy as np
import torch
from torch import nn

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.digest import digest_of, weights_digest
from glm_composer.models.transformer import TransformerConfig, build_transformer


def test_the_digest_is_of_every_name_and_byte():
    tensors = {"b": torch.tensor([[1.0, 2.0]]), "a": torch.tensor([3.0])}
    floats = [np.array(x, "<f4").tobytes() for x in ([3.0], [1.0, 2.0])]
    parts = [b"a torch.float32 [1]\n", floats[0], b"b torch.float32 [1, 2]\n", floats[1]]
    assert digest_of(tensors) == f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"


def test_a_networks_digest_is_of_what_its_checkpoint_holds():
    for network in (
        build_bytenet(ByteNetConfig(width=8, layers=2)),
        build_transformer(TransformerConfig(width=8, layers=1, heads=2, mlp_width=16)),
        # With buffers: running means are weights, too.
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
    ):
        before = weights_digest(network)
        assert before == digest_of(network.state_dict())
        with torch.no_grad():
            [*network.parameters(), *network.buffers()][-1].add_(1)
        assert weights_digest(network) != before
    network.register_buffer("scratch", torch.zeros(2), persistent=False)
    assert weights_digest(network) == digest_of(network.state_dict())


def test_the_type_that_weights_are_held_in_does_not_matter():
    network = build_bytenet(ByteNetConfig(width=8, layers=2)).to(torch.bfloat16)
    assert weights_digest(network) == weights_digest(network.float())
