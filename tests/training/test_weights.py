"""Weights in and out: GPN directories there and back, and everything that is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.training.weights import export_gpn, import_gpn, load_into, read
from glm_composer.training.weights_file import Weights, write_weights_file

SMALL = ByteNetConfig(width=12, layers=3, first_kernel=7, kernel=3, dilation_cycle=2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A weights file of a small ByteNet."""
    torch.manual_seed(0)
    weights = Weights(path=tmp_path, tensors=build_bytenet(SMALL).state_dict(), model=SMALL)
    write_weights_file(weights, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def gpn(source: Path, tmp_path: Path) -> Path:
    """The same as a GPN directory."""
    export_gpn(source, tmp_path / "gpn")
    return tmp_path / "gpn"


def change_config(directory: Path, **changes: object) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_export_and_import_keep_every_bit(source: Path, gpn: Path, tmp_path: Path) -> None:
    files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in gpn.iterdir()} == files
    import_gpn(gpn, tmp_path / "back.safetensors")
    before = read(source)
    for again in (read(tmp_path / "back.safetensors"), read(gpn)):
        assert again.model == SMALL
        assert again.tensors.keys() == before.tensors.keys()
        assert all(torch.equal(again.tensors[k], v) for k, v in before.tensors.items())
    torch.manual_seed(1)
    network = build_bytenet(SMALL)
    load_into(network, SMALL, read(gpn))
    assert torch.equal(network.state_dict()["norm.weight"], before.tensors["norm.weight"])


def test_half_precision_becomes_single(gpn: Path) -> None:
    file = gpn / "model.safetensors"
    halves = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    save_file(halves, file, {"format": "pt"})
    found = read(gpn).tensors
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert torch.equal(found["decoder.weight"], halves["cls.decoder.weight"].float())


def test_every_tensor_that_does_not_fit_is_named_and_nothing_written(
    gpn: Path, tmp_path: Path
) -> None:
    file, out = gpn / "model.safetensors", tmp_path / "out.safetensors"
    tensors = load_file(file)
    del tensors["model.ln_f.weight"]
    tensors["model.encoder.layer.1.layer.6.weight"] = torch.ones(6, 6, 5)
    tensors["cls.bias"] = torch.ones(7)
    save_file(tensors, file)
    with pytest.raises(UserError) as caught:
        import_gpn(gpn, out)
    for part in (
        "3 tensors",
        "model.ln_f.weight is missing",
        "model.encoder.layer.1.layer.6.weight is [6, 6, 5], not [6, 6, 3]",
        "cls.bias is not part of this model",
    ):
        assert part in str(caught.value)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", r"gpn: neither a run's directory .* nor a GPN checkpoint \(config\.json"),
        ("model.safetensors", r"model\.safetensors: missing; a GPN checkpoint has"),
    ],
)
def test_missing_files(gpn: Path, name: str, message: str) -> None:
    (gpn / name).unlink()
    with pytest.raises(UserError, match=message):
        read(gpn)


def test_a_pickle_is_refused_unread(gpn: Path) -> None:
    (gpn / "model.safetensors").unlink()
    (gpn / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: refused.*save_pretrained"):
        read(gpn)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_files(gpn: Path, tmp_path: Path, name: str) -> None:
    (gpn / name).write_bytes((gpn / name).read_bytes()[:-40])
    with pytest.raises(UserError, match=rf"{name}: not a readable"):
        import_gpn(gpn, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_dilations_that_shapes_do_not_show(gpn: Path) -> None:
    change_config(gpn, dilation_cycle=3)
    network = build_bytenet(SMALL)
    before = network.decoder.weight.clone()
    with pytest.raises(UserError, match=r"model\.dilation_cycle is 3 there, 2 here"):
        load_into(network, SMALL, read(gpn))
    assert torch.equal(network.decoder.weight, before)


def test_another_width_names_every_tensor(gpn: Path) -> None:
    wide = dataclasses.replace(SMALL, width=16)
    network = build_bytenet(wide)
    with pytest.raises(UserError, match=r"21 tensors do not fit.*decoder\.weight is \[7, 12\]"):
        load_into(network, wide, read(gpn))


def test_export_of_what_is_no_bytenet(tmp_path: Path) -> None:
    config = TransformerConfig(width=16, layers=1, heads=2, mlp_width=16)
    network = build_transformer(config)
    weights = Weights(path=tmp_path, tensors=network.state_dict(), model=config)
    write_weights_file(weights, tmp_path / "rope.safetensors")
    with pytest.raises(UserError, match=r"model\.name is transformer; .* bytenet only"):
        export_gpn(tmp_path / "rope.safetensors", tmp_path / "gpn")
    torch.save({"state": {"model": {}}}, tmp_path / "alone.pt")
    with pytest.raises(UserError, match="nothing says of which model"):
        export_gpn(tmp_path / "alone.pt", tmp_path / "gpn")
    assert not (tmp_path / "gpn").exists()


def test_places_that_cannot_be_written(source: Path, gpn: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gpn: exists already"):
        export_gpn(source, gpn)
    (tmp_path / "empty").mkdir()
    export_gpn(source, tmp_path / "empty")
    with pytest.raises(UserError, match="cannot be written"):
        export_gpn(source, source / "below")
    with pytest.raises(UserError, match="cannot be written"):
        import_gpn(gpn, source / "below.safetensors")
    with pytest.raises(UserError, match=r"ends in \.safetensors"):
        import_gpn(gpn, tmp_path / "out.pt")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_safetensors_file_of_other_origin(gpn: Path) -> None:
    with pytest.raises(UserError, match="not written by `glm import-gpn`"):
        read(gpn / "model.safetensors")
