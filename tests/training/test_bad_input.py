"""What a user gets for damaged checkpoints, full disks and tables that cannot be ranked."""

import fcntl
import os
import pickle
import resource
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from glm_composer.errors import UserError
from glm_composer.evaluation.table import VariantWindows, check_rankable
from glm_composer.runs.status import read_status
from glm_composer.training.build import build_model, build_trainer
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.inputs import check_data
from glm_composer.training.record import check_resumable, check_writable, write_record
from glm_composer.training.resume import find_resumable
from glm_composer.training.run import train
from glm_composer.training.schedules import ConstantConfig, WSDConfig, check_units
from glm_composer.training.weights import load_into, read

QUICK = ["max_duration=2ba", "save_interval=1ba", "scheduler={name: constant}"]


class Intruder:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damage(kind: str, file: Path, mark: Path) -> None:
    if kind == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif kind == "empty":
        os.truncate(file, 0)
    elif kind == "text":
        file.write_text("hello world\n" * 30)
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(Intruder(mark)))
    elif kind == "code":
        torch.save({"state": {"model": Intruder(mark)}}, file)
    elif kind == "list":
        torch.save([1, 2], file)
    elif kind == "no tensors":
        torch.save({"state": {"model": {"a": 1}}}, file)


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "pickle", "code", "list", "no tensors"])
def test_damaged_checkpoint_is_named_and_runs_nothing(tmp_path, kind):
    file, mark = tmp_path / "x.pt", tmp_path / "mark"
    torch.save({"state": {"model": {"w": torch.ones(1000)}}}, file)
    assert read_weights(file)["w"].sum() == 1000
    damage(kind, file, mark)
    with pytest.raises(UserError, match=r"x\.pt: (not a|refused)") as caught:
        read_weights(file)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_weights_of_another_architecture_are_all_named_and_none_is_loaded(configure, tmp_path):
    config = configure()
    model = build_model(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = {name: tensor + 1 for name, tensor in before.items()}
    del other["model.norm.weight"]
    other["model.extra"] = torch.ones(2)
    other["model.embedding.weight"] = torch.ones(8, 16)
    torch.save({"state": {"model": other}}, tmp_path / "x.pt")
    with pytest.raises(UserError) as caught:
        load_into(model.model, config.model, read(tmp_path / "x.pt"))
    assert str(caught.value) == (
        f"{tmp_path}/x.pt: a checkpoint of another architecture; 3 tensors do not fit: "
        "embedding.weight is [8, 16], not [7, 16]; extra is not part of this model; "
        "norm.weight is missing"
    )
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.slow
def test_another_optimizer_does_not_go_on(configure):
    config = configure()
    check_writable(config)
    write_record(config, parameters=1)
    saved = config.run_dir / "checkpoints/ep0-ba1-rank0.pt"
    torch.save({"state": {"model": {"w": torch.ones(1)}}}, saved)
    check_resumable(config)
    with pytest.raises(UserError, match=r"optimizer\.name was adamw, now muon"):
        check_resumable(configure("optimizer={name: muon}"))


@pytest.mark.slow
def test_a_run_its_disk_and_its_resumption(configure, tmp_path):
    config = configure(*QUICK)
    torso = config.run_dir / "checkpoints/partial/ep0-ba1-rank0.pt"
    torso.parent.mkdir(parents=True)
    torso.touch()
    check_writable(config)
    trainer = build_trainer(config)
    assert not torso.parent.exists(), "what a kill left behind stays for ever"
    trainer.fit()
    trainer.close()
    checkpoints = config.run_dir / "checkpoints"
    saved = [f"ep0-ba{batch}-rank0.pt{end}" for batch in (1, 2) for end in ("", ".json")]
    assert sorted(path.name for path in checkpoints.iterdir()) == [*saved, "latest-rank0.pt"]
    assert os.readlink(checkpoints / "latest-rank0.pt") == "ep0-ba2-rank0.pt"

    # Without the settings beside them nobody can tell what the checkpoints are of.
    with pytest.raises(UserError, match=r"config\.yaml: cannot read the settings"):
        check_resumable(config)

    # A file-size limit is a disk that is full for everything but small files.
    longer = configure(*QUICK, "max_duration=3ba")
    trainer = build_trainer(longer)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"ep0-ba3-rank0\.pt: cannot be saved: File too large"):
            trainer.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
        trainer.close()
    assert not list(checkpoints.rglob("*ba3*"))
    assert read_weights((checkpoints / "latest-rank0.pt").resolve())

    # The link is for people; the run itself finds what is there.
    (checkpoints / "latest-rank0.pt").unlink()
    found = find_resumable(config)
    assert found is not None
    assert found.name == os.readlink(checkpoints / "latest-rank0.pt") == "ep0-ba2-rank0.pt"


@pytest.mark.slow
def test_finished_run_is_evaluated_again_and_never_shortened(configure, capsys):
    train(configure(*QUICK))
    train(configure(*QUICK))
    assert "trained to 2ba already" in capsys.readouterr().out
    status = read_status(configure(*QUICK).run_dir)
    assert status is not None
    assert (status.state, status.step, status.progress) == ("finished", 2, 1.0)
    assert status.loss is not None
    with pytest.raises(UserError, match="at 2ba already"):
        train(configure(*QUICK, "max_duration=1ba"))


def test_two_runs_in_one_directory(configure):
    config = configure(*QUICK)
    check_writable(config)
    metrics = config.run_dir / "metrics.jsonl"
    with (config.run_dir / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="tiny: another process is training there"):
            train(config)
    assert not metrics.exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/x"])
def test_run_directory_that_cannot_be_written(configure, tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write the run there"):
        check_writable(configure(f"runs_dir={tmp_path / place}"))


def test_report_split_is_checked_at_the_start(configure):
    with pytest.raises(UserError, match=r"evaluation\.report_split 'tst': .*test"):
        check_data(configure("evaluation.report_split=tst"))


def test_units_of_a_schedule():
    check_units(ConstantConfig(warmup="0.1dur"), "2ep")
    check_units(WSDConfig(warmup="0ba", decay="1ep"), "2ep")
    with pytest.raises(UserError, match=r"scheduler\.warmup \(4096tok\).*give both in ba"):
        check_units(ConstantConfig(warmup="4096tok"), "4ba")


@pytest.mark.parametrize(
    ("chroms", "message"),
    [
        (["a", "x"], "no variants on 'x'; it has a, b"),
        (["b"], "0 positives among its 1 variants"),
        ([], "0 positives among its 0 variants"),
    ],
)
def test_table_that_cannot_be_ranked(chroms, message):
    table = pl.DataFrame({"chrom": ["a", "a", "b"], "label": [True, False, False]})
    empty = np.zeros(3, dtype=np.uint8)
    variants = VariantWindows(table, empty[:, None], empty, empty)
    check_rankable(variants, ["a"], "t.tsv", "chroms")
    check_rankable(variants, None, "t.tsv", "chroms")
    with pytest.raises(UserError, match=message):
        check_rankable(variants, chroms, "t.tsv", "chroms")
