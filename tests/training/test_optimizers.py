from torch import nn

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.training.optimizers import AdamWConfig, build_adamw


def groups_by_name(model: nn.Module) -> tuple[set[str], set[str]]:
    optimizer = build_adamw(AdamWConfig(weight_decay=0.1), model)
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = {0.1: set(), 0.0: set()}
    for group in optimizer.param_groups:
        found[group["weight_decay"]] |= {names[parameter] for parameter in group["params"]}
    return found[0.1], found[0.0]


def test_bytenet_norms_do_not_decay_and_the_embedding_does():
    decayed, spared = groups_by_name(build_bytenet(ByteNetConfig(width=8, layers=2)))
    assert all("norm" in name for name in spared)
    assert {"embedding.weight", "decoder.weight", "encoder.0.conv.weight"} <= decayed
    assert len(spared) == 3 * 2 + 1


def test_every_parameter_is_in_exactly_one_group():
    model = build_transformer(
        TransformerConfig(width=8, layers=2, heads=2, mlp_width=8, conv_layers=1, stem_kernel=3)
    )
    decayed, spared = groups_by_name(model)
    assert decayed | spared == {name for name, _ in model.named_parameters()}
    assert not decayed & spared
    assert not any("norm" in name for name in decayed)
