"""The verbs of `glm checkpoints` on files that training wrote, or somebody else."""

from pathlib import Path

import torch
from test_checkpoint_folder import flip, save
from typer.testing import CliRunner

from glm_composer.cli import app
from glm_composer.errors import UserError
from glm_composer.training.checkpoint_folder import LATEST, link
from glm_composer.training.checkpoint_manifest import manifest_path


def test_the_verbs(tmp_path):
    folder = tmp_path / "run/checkpoints"
    folder.mkdir(parents=True)
    run = str(tmp_path / "run")
    call = CliRunner().invoke
    assert isinstance(call(app, ["checkpoints", "ls", run]).exception, UserError)
    old = save(folder, 4, manifest=False)
    kept = save(folder, 6, keep=True, metrics={"validation/loss": 1.25})
    link(folder, LATEST, kept)
    listed = call(app, ["checkpoints", "ls", run]).output.splitlines()
    assert [line.split()[0] for line in listed] == ["checkpoint", old.name, kept.name]
    assert "incomplete: it has no manifest" in listed[1]
    assert listed[2].split()[1:5] == ["complete", "latest,", "for", "good"]
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


class Intruder:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_runs_code_or_is_damaged_is_not_accepted(tmp_path):
    folder = tmp_path / "run/checkpoints"
    folder.mkdir(parents=True)
    file, mark = folder / "ep0-ba1-rank0.pt", tmp_path / "mark"
    torch.save({"state": {"model": {}}, "extra": Intruder(mark)}, file)
    answer = CliRunner().invoke(app, ["checkpoints", "accept", str(folder.parent)])
    assert "holds more than plain data" in str(answer.exception)
    file = save(folder, 1, manifest=False)
    flip(file, file.read_bytes().index(torch.ones(300).numpy().tobytes()) + 3)
    answer = CliRunner().invoke(app, ["checkpoints", "accept", str(folder.parent)])
    assert "damaged: the checksum of its part" in str(answer.exception)
    assert not mark.exists()
    assert not manifest_path(file).exists()
