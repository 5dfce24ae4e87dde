"""GPN's Hugging Face format: its names of ByteNet's tensors, and its config.json.

Read from gpn 0.9.0 and the published checkpoints. Dictionaries in and out; files are elsewhere.
"""

import json
from collections.abc import Mapping
from typing import Any

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig
from glm_composer.settings import structure

# Places of a block's weights in GPN's Sequential; activations and transposes take the others.
_PLACES = {"norm_in": 0, "reduce": 2, "norm_conv": 3, "conv": 6, "norm_out": 8, "expand": 10}
# Keys that may differ between ByteNets, with our name and what gpn takes where a file lacks one.
_SIZES: dict[str, tuple[str, int]] = {
    "hidden_size": ("width", 512),
    "num_hidden_layers": ("layers", 25),
    "first_kernel_size": ("first_kernel", 9),
    "rest_kernel_size": ("kernel", 5),
    "dilation_cycle": ("dilation_cycle", 8),
}
# Keys of other architectures: the value of this one, and what gpn takes where a file lacks one.
_FIXED: dict[str, tuple[Any, Any]] = {
    "model_type": ("GPN", None),
    "encoder": ("bytenet", "convnet"),
    "embedding": ("embedding", "one_hot"),
    "mlm_head_transform": (False, True),
    "slim": (True, False),
    "bias": (False, False),
    "depthwise": (False, False),
    "vocab_size": (sequence.VOCAB_SIZE, sequence.VOCAB_SIZE),
    "n_aux_features": (0, 0),
    "dilation_base": (2, 2),
    "dilation_double_every": (1, 1),
    "tie_word_embeddings": (False, False),
}
_DILATION_MAX = 9999


def gpn_names(layers: int) -> dict[str, str]:
    """GPN's name of each tensor of a ByteNet `LanguageModel` with so many layers, by ours."""
    names = {"embedding.weight": "model.embeddings.word_embeddings.weight"}
    for layer in range(layers):
        for part, place in _PLACES.items():
            theirs = f"model.encoder.layer.{layer}.layer.{place}.weight"
            names[f"encoder.{layer}.{part}.weight"] = theirs
    return {**names, "norm.weight": "model.ln_f.weight", "decoder.weight": "cls.decoder.weight"}


def config_from_gpn(fields: Mapping[str, Any], source: str) -> ByteNetConfig:
    """Settings of the ByteNet that a GPN config.json describes.

    Args:
        fields: the file's content.
        source: its name, for messages.

    Raises:
        UserError: it describes another architecture; every key that differs is named.
    """
    found = {key: fields.get(key, default) for key, (_, default) in {**_FIXED, **_SIZES}.items()}
    wrong = [
        f"{key} is {json.dumps(found[key])}, not {json.dumps(ours)}"
        for key, (ours, _) in _FIXED.items()
        if found[key] != ours
    ]
    wrong += [
        f"{key} is {json.dumps(found[key])}, not a positive whole number"
        for key in _SIZES
        if type(found[key]) is not int or found[key] < 1
    ]
    if not wrong:
        largest = 2 ** (min(found["dilation_cycle"], found["num_hidden_layers"]) - 1)
        limit = fields.get("dilation_max", _DILATION_MAX)
        if type(limit) is not int or limit < largest:
            wrong.append(f"dilation_max is {json.dumps(limit)}, not {largest} or more")
    if wrong:
        raise UserError(f"{source}: not a GPN ByteNet of this kind: {'; '.join(wrong)}")
    sizes = {ours: found[theirs] for theirs, (ours, _) in _SIZES.items()}
    return structure(ByteNetConfig, sizes, source)


def config_to_gpn(config: ByteNetConfig) -> dict[str, Any]:
    """Content of the config.json from which gpn builds the same network."""
    sizes = {theirs: getattr(config, ours) for theirs, (ours, _) in _SIZES.items()}
    fixed = {key: ours for key, (ours, _) in _FIXED.items()}
    # gpn caps dilations; here they never are.
    largest = max(_DILATION_MAX, 2 ** (config.dilation_cycle - 1))
    return {
        "architectures": ["GPNForMaskedLM"],
        **fixed,
        **sizes,
        "dilation_max": largest,
        "pad_token_id": sequence.PAD,
        "dtype": "float32",
    }


def tokenizer_files() -> dict[str, dict[str, Any]]:
    """Content by file name of a Hugging Face tokenizer that gives `glm_composer.sequence`'s ids.

    Single letters, lower-cased before they are looked up, and nothing put before or after them.
    """
    specials = {"pad_token": sequence.PAD, "mask_token": sequence.MASK, "unk_token": sequence.UNK}
    flags = {key: False for key in ("single_word", "lstrip", "rstrip", "normalized")}
    added = [
        {"id": token, "content": sequence.TOKENS[token], **flags, "special": True}
        for token in specials.values()
    ]
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": sequence.TOKENS[sequence.UNK],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            # Else a run of N would become one token.
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: place for place, token in enumerate(sequence.TOKENS)},
            "merges": [],
        },
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{name: sequence.TOKENS[token] for name, token in specials.items()},
    }
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": settings}
