"""GPN's format: names and settings there and back, and what is of another architecture."""

import json
from dataclasses import replace

import pytest
import torch

from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.gpn_format import (
    config_from_gpn,
    config_to_gpn,
    gpn_names,
    tokenizer_files,
)
from glm_composer.sequence import TOKENS, encode

# The published model's, as transformers 4 wrote it: what is missing takes gpn's default.
PUBLISHED = {
    "model_type": "GPN",
    "vocab_size": 7,
    "hidden_size": 1024,
    "num_hidden_layers": 64,
    "encoder": "bytenet",
    "embedding": "embedding",
    "mlm_head_transform": False,
    "slim": True,
    "bias": False,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "num_attention_heads": 12,
}


def test_names_are_the_published_tensors_with_their_shapes() -> None:
    with torch.device("meta"):
        network = build_bytenet(ByteNetConfig()).state_dict()
    names = gpn_names(64)
    assert names.keys() == network.keys()
    shapes = {theirs: list(network[ours].shape) for ours, theirs in names.items()}
    assert len(shapes) == 387
    block = {place: shapes[f"model.encoder.layer.7.layer.{place}.weight"] for place in (0, 2, 3)}
    assert block == {0: [1024], 2: [512, 1024], 3: [512]}
    block = {place: shapes[f"model.encoder.layer.7.layer.{place}.weight"] for place in (6, 8, 10)}
    assert block == {6: [512, 512, 5], 8: [512], 10: [1024, 512]}
    assert shapes["model.encoder.layer.0.layer.6.weight"] == [512, 512, 9]
    assert shapes["model.embeddings.word_embeddings.weight"] == [7, 1024]
    assert shapes["model.ln_f.weight"] == [1024]
    assert shapes["cls.decoder.weight"] == [7, 1024]


def test_settings_there_and_back() -> None:
    assert config_from_gpn(PUBLISHED, "x") == ByteNetConfig()
    odd = ByteNetConfig(width=30, layers=3, first_kernel=3, kernel=7, dilation_cycle=2)
    assert config_from_gpn(json.loads(json.dumps(config_to_gpn(odd))), "x") == odd
    # Dilations above gpn's cap of 9,999.
    deep = replace(odd, layers=20, dilation_cycle=20)
    assert config_from_gpn(config_to_gpn(deep), "x") == deep


def test_every_key_of_another_architecture_is_named_with_both_values() -> None:
    other = {**PUBLISHED, "encoder": "convnet", "slim": False, "hidden_size": "wide"}
    del other["embedding"]
    with pytest.raises(UserError) as caught:
        config_from_gpn(other, "DIR/config.json")
    message = str(caught.value)
    assert message.startswith("DIR/config.json: ")
    for part in (
        'encoder is "convnet", not "bytenet"',
        'embedding is "one_hot", not "embedding"',
        "slim is false, not true",
        'hidden_size is "wide", not a positive whole number',
    ):
        assert part in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dilation_max": 64}, "dilation_max is 64, not 128 or more"),
        ({"hidden_size": 15}, r"width \(15\) must be even"),
        ({"rest_kernel_size": 4}, r"kernel \(4\) must be odd"),
        ({"model_type": "GPNRoFormer"}, 'model_type is "GPNRoFormer", not "GPN"'),
        ({"num_hidden_layers": True}, "num_hidden_layers is true"),
        ({"vocab_size": 6}, "vocab_size is 6, not 7"),
        ({"dilation_double_every": 2}, "dilation_double_every is 2, not 1"),
    ],
)
def test_values_that_this_encoder_cannot_have(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_from_gpn({**PUBLISHED, **change}, "config.json")


def test_the_tokenizer_gives_our_ids() -> None:
    from tokenizers import Tokenizer

    files = tokenizer_files()
    tokenizer = Tokenizer.from_str(json.dumps(files["tokenizer.json"]))
    bases = "ACGTacgtNNNryN"
    assert tokenizer.encode(bases).ids == encode(bases).tolist()
    assert tokenizer.encode("ac[MASK]g[PAD]t[UNK]").ids == [3, 4, 1, 5, 0, 6, 2]
    named = files["tokenizer_config.json"]
    special = [named[key] for key in ("pad_token", "mask_token", "unk_token")]
    assert special == list(TOKENS[:3])
