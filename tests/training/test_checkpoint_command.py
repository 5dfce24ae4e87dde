"""The verbs of `glm checkpoints` on files that training wrote, or somebody else."""

import zipfile
from pathlib import Path

import pytest
import torch
from test_checkpoint_folder import flip, save
from typer.testing import CliRunner

from glm_composer.cli import app
from glm_composer.errors import UserError
from glm_composer.training import checkpoint_command
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.checkpoint_folder import BEST, LATEST, link, list_checkpoints
from glm_composer.training.checkpoint_manifest import defect, manifest_path


def test_the_verbs(tmp_path):
    folder = tmp_path / "run/checkpoints"
    folder.mkdir(parents=True)
    run = str(tmp_path / "run")
    call = CliRunner().invoke
    assert isinstance(call(app, ["checkpoints", "ls", run]).exception, UserError)
    old = save(folder, 4, manifest=False)
    kept = save(folder, 6, keep=True, metrics={"validation/loss": 1.25})
    link(folder, LATEST, kept)
    link(folder, BEST, kept)
    listed = call(app, ["checkpoints", "ls", run]).output.splitlines()
    assert [line.split()[0] for line in listed] == ["checkpoint", old.name, kept.name]
    assert "incomplete: it has no manifest" in listed[1]
    assert listed[2].split()[1:5] == ["complete", "best,", "latest,", "for"]
    assert "validation/loss 1.25" in listed[2]
    assert call(app, ["checkpoints", "verify", run]).exit_code == 1
    assert call(app, ["checkpoints", "verify", str(kept)]).exit_code == 0
    accepted = call(app, ["checkpoints", "accept", run])
    assert accepted.output == f"accepted: {old}\n"
    assert call(app, ["checkpoints", "verify", run]).exit_code == 0
    flip(kept, kept.stat().st_size // 2)
    verified = call(app, ["checkpoints", "verify", run])
    assert verified.exit_code == 1
    assert verified.output.splitlines()[-1].startswith(f"{kept}: damaged: its sha256")


def test_a_run_may_remove_what_is_being_listed(tmp_path, monkeypatch):
    folder = tmp_path / "run/checkpoints"
    folder.mkdir(parents=True)
    gone, stays = save(folder, 4), save(folder, 6)

    def listed_before(directory: Path) -> list[Path]:
        found = list_checkpoints(directory)
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(checkpoint_command, "list_checkpoints", listed_before)
    answer = CliRunner().invoke(app, ["checkpoints", "ls", str(folder.parent)])
    assert answer.exception is None
    assert [line.split()[0] for line in answer.output.splitlines()] == ["checkpoint", stays.name]


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", "null", "\xff"])
def test_a_manifest_that_is_none_is_named(tmp_path, text):
    file = save(tmp_path, 4)
    manifest_path(file).write_text(text)
    assert str(defect(file)).startswith(f"damaged: {manifest_path(file)}: ")


class Intruder:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_forgery_that_torch_asserts_against_is_named(tmp_path):
    file = save(tmp_path, 4, manifest=False)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            # A tensor whose place in the file is None.
            forged = b"\x80\x02NQ."
            archive.writestr(name, forged if name.endswith("data.pkl") else content)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read_weights(file)


def test_what_runs_code_or_is_damaged_is_not_accepted(tmp_path):
    folder = tmp_path / "run/checkpoints"
    folder.mkdir(parents=True)
    file, mark = folder / "ep0-ba1-rank0.pt", tmp_path / "mark"
    torch.save({"state": {"model": {}}, "extra": Intruder(mark)}, file)
    answer = CliRunner().invoke(app, ["checkpoints", "accept", str(folder.parent)])
    assert "holds more than plain data" in str(answer.exception)
    file = save(folder, 1, manifest=False)
    flip(file, file.read_bytes().index(torch.ones(300).numpy().tobytes()) + 3)
    good = save(folder, 6, manifest=False)
    torch.save({"state": {"model": {}}, "extra": Intruder(mark)}, folder / "ep0-ba2-rank0.pt")
    answer = CliRunner().invoke(app, ["checkpoints", "accept", str(folder.parent)])
    damaged, hostile = str(answer.exception).splitlines()
    assert "damaged: the checksum of its part" in damaged
    assert "holds more than plain data" in hostile
    assert answer.output == f"accepted: {good}\n"
    assert defect(good) is None
    assert not mark.exists()
    assert not manifest_path(file).exists()
