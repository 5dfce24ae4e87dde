"""Hugging Face checkpoint directories of GPN's ByteNet, as `gpn` writes and loads them."""

import json
from pathlib import Path
from typing import Any

import torch

from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.gpn_format import (
    config_from_gpn,
    config_to_gpn,
    gpn_names,
    tokenizer_files,
)
from glm_composer.training.inputs import GPN_CONFIG
from glm_composer.training.weights_file import (
    Weights,
    check_fit,
    read_safetensors,
    save,
    written_aside,
)

WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"


def read_gpn(directory: Path) -> Weights:
    """Read a GPN checkpoint directory: config.json and model.safetensors.

    Raises:
        UserError: a file is missing or damaged, or of another architecture than GPN's ByteNet;
            every key and tensor that does not fit is named.
    """
    config = config_from_gpn(_read_config(directory / GPN_CONFIG), str(directory / GPN_CONFIG))
    file = directory / WEIGHTS
    if not file.exists() and (directory / PICKLED).exists():
        raise UserError(
            f"{directory / PICKLED}: refused: a pickle can run code. If you trust it, write it as "
            f"{WEIGHTS}, in gpn: GPNForMaskedLM.from_pretrained(DIR).save_pretrained(NEW_DIR)"
        )
    if not file.exists():
        raise UserError(f"{file}: missing; a GPN checkpoint has {GPN_CONFIG} and {WEIGHTS}")
    tensors, _ = read_safetensors(file)
    names = gpn_names(config.layers)
    with torch.device("meta"):
        network = build_bytenet(config).state_dict()
    check_fit(tensors, {theirs: network[ours] for ours, theirs in names.items()}, file)
    # Published ones may be in half precision; training starts from fp32.
    mapped = {ours: tensors[theirs].float() for ours, theirs in names.items()}
    return Weights(path=directory, tensors=mapped, model=config)


def write_gpn(weights: Weights, directory: Path) -> None:
    """Write a directory that `gpn` and transformers' Auto classes load, whole or not at all.

    Raises:
        UserError: the model is no ByteNet, or the directory holds something already.
    """
    config = weights.model
    if not isinstance(config, ByteNetConfig):
        found = f"model.name is {config.name}" if config else "nothing says of which model"
        raise UserError(f"{weights.path}: {found}; GPN's format is for bytenet only")
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise UserError(f"{directory}: exists already; choose another, or remove it")
    with torch.device("meta"):
        check_fit(weights.tensors, build_bytenet(config).state_dict(), weights.path)
    names = gpn_names(config.layers)
    files = {GPN_CONFIG: config_to_gpn(config), **tokenizer_files()}
    with written_aside(directory) as aside:
        aside.mkdir()
        save(
            {names[ours]: tensor for ours, tensor in weights.tensors.items()}, aside / WEIGHTS, {}
        )
        for name, fields in files.items():
            (aside / name).write_text(json.dumps(fields, indent=2) + "\n")


def _read_config(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{file}: missing; a GPN checkpoint has {GPN_CONFIG} and {WEIGHTS}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable JSON file ({error})") from None
    if not isinstance(fields, dict):
        raise UserError(f"{file}: not a mapping of keys to values")
    return fields
