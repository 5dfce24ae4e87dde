"""What a run sees of its data: every window once, on any ranks, over any interruption."""

import json
import shutil
from pathlib import Path

import pytest
from test_train import fit, losses
from typer.testing import CliRunner

from glm_composer.cli import app
from glm_composer.data.ledger import audit
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.training.build import build_trainer

# 97 windows: the last of 9 batches of 12 holds one, so that two of three ranks have blanks only.
COMMON = [
    "global_train_batch_size=12",
    "data.train_windows=97",
    "scheduler={name: constant}",
    "save_interval=1ba",
    "ledger=true",
]
ONCE = "train, epoch {}: all 97 windows once"


def streams_of(yeast, last="{path: %s, split: test, proportion: [[0ba, 0], [12ba, 2]]}"):
    first = f"{{path: {yeast}, split: validation}}"
    return f"data.streams={{a: {first}, b: {last % yeast if '%' in last else last}}}"


@pytest.mark.slow
@pytest.mark.parametrize("stop", [9, 13])
def test_short_batches_resume_bitwise(configure, stop):
    whole = fit(configure("run_name=whole", "max_duration=20ba", *COMMON))
    fit(configure("run_name=parts", f"max_duration={stop}ba", *COMMON))
    config = configure("run_name=parts", "max_duration=20ba", *COMMON)
    trainer = build_trainer(config)
    trainer.fit()
    time = trainer.state.timestamp
    trainer.close()
    assert losses(config) == whole
    # Blanks are no samples and no tokens.
    assert (time.epoch.value, time.batch_in_epoch.value) == (2, 2)
    assert (time.sample.value, time.token.value) == (2 * 97 + 24, 64 * (2 * 97 + 24))
    found = audit(config.run_dir / "ledger.jsonl")
    assert (found.starts, found.batches, found.redone) == (2, 20, 0)
    assert found.epochs[:2] == [ONCE.format(0), ONCE.format(1)]


def test_fewer_windows_than_a_batch(configure):
    config = configure("data.train_windows=5", "max_duration=3ba", "ledger=true")
    fit(config)
    done = CliRunner().invoke(app, ["data", "audit", str(config.run_dir)])
    assert done.stdout.splitlines() == [
        "3 batches over 1 starts; 0 batches were done again after a kill",
        *(f"train, epoch {epoch}: all 5 windows once" for epoch in range(3)),
    ]


@pytest.mark.slow
def test_mixtures_resume_bitwise_and_log_their_streams(configure, yeast, tmp_path):
    # One stream is fetched, into a directory that the first run finds empty and the others full.
    proportion = "[[0ba, 0], [12ba, 2]]"
    fetched = f"path: {tmp_path / 'cache'}, remote: 'file://{yeast}'"
    common = [
        "data.train_windows=null",
        "data.epoch_windows=128",
        "ledger=true",
        streams_of(yeast, f"{{{fetched}, split: test, proportion: {proportion}}}"),
    ]
    common += ["save_interval=1ba", "scheduler={name: constant}"]
    config = configure("run_name=whole", "max_duration=14ba", *common)
    whole = fit(config)
    fit(configure("run_name=parts", "max_duration=5ba", *common))
    assert fit(configure("run_name=parts", "max_duration=14ba", *common)) == whole
    found = read_metrics(config.run_dir / "metrics.jsonl")
    rows = [row for row in found if "train/loss" in row]
    for row in rows:
        counts = [row[f"data/{name}/windows"] for name in "ab"]
        assert sum(counts) == 16
        # Nearly all bases weigh the same, so the mean by windows is close to the loss.
        parts = [
            row.get(f"train/{name}/loss", 0) * n for name, n in zip("ab", counts, strict=True)
        ]
        assert sum(parts) / 16 == pytest.approx(row["train/loss"], rel=0.01)
    assert rows[0]["data/b/windows"] == 0
    assert rows[-1]["data/b/windows"] in (10, 11)
    found = audit(config.run_dir / "ledger.jsonl")
    assert [line.partition(":")[0] for line in found.epochs] == ["a, epoch 0", "b, epoch 0"]


@pytest.fixture
def other(yeast, tmp_path):
    """A dataset with another split to train on."""
    path = Path(shutil.copytree(yeast, tmp_path / "other"))
    shutil.rmtree(path / "train")
    (path / "validation").rename(path / "train")
    shutil.copytree(path / "train", path / "validation")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["splits"]["train"] = manifest["splits"]["validation"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.slow
def test_a_changed_run_is_refused_and_can_be_forced(configure, other):
    common = ["data.train_windows=96", "save_interval=1ba", "scheduler={name: constant}"]
    fit(configure("max_duration=2ba", *common))
    for change, message in (
        ("seed=4", "seed was 3 .* now 4"),
        ("global_train_batch_size=32", "global_train_batch_size was 16 .* now 32"),
        ("data.train_windows=97", "windows in use was 96 .* now 97"),
        (f"data.path={other}", r"training data was 39,167 windows .* now 2,131 windows"),
        ("data.window=32", "data.window was 64 .* now 32"),
        ("objective={name: mlm, rate: 0.2}", 'objective was .*"rate": 0.15.* now .*"rate": 0.2'),
    ):
        with pytest.raises(UserError, match=message) as error:
            build_trainer(configure("max_duration=3ba", *common, change))
        assert "\n" not in str(error.value)
    forced = configure(
        "max_duration=5ba", *common, "global_train_batch_size=32", "force_resume=true"
    )
    trainer = build_trainer(forced)
    trainer.fit()
    trainer.close()
    # 32 windows of batches of 16, then 32 + 32 of the 96, then the next epoch.
    assert trainer.state.timestamp.sample.value == 32 + 3 * 32
    assert trainer.state.timestamp.epoch.value == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_any_seed_of_64_bits(configure, seed):
    first = fit(configure("run_name=a", f"seed={seed}", "max_duration=2ba"))
    assert fit(configure("run_name=b", f"seed={seed - 1}", "max_duration=2ba")) != first
    with pytest.raises(UserError, match="'seed' = 18446744073709551616: input should be less"):
        configure(f"seed={2**64}")


@pytest.mark.slow
def test_any_ranks_see_the_same(command, tmp_path):
    runs = {"one": [(1, 20)], "three": [(3, 20)], "changing": [(2, 7), (3, 20)]}
    for name, parts in runs.items():
        for ranks, stop in parts:
            done = command(
                ranks,
                f"run_name={name}",
                f"max_duration={stop}ba",
                "data.eval_windows=2",
                "eval_interval=9ba",
                *COMMON,
            )
            assert done.returncode == 0, done.stderr[-3000:]
    rows = {name: read_metrics(tmp_path / name / "metrics.jsonl") for name in runs}
    ledgers = {}
    for name in runs:
        file = tmp_path / name / "ledger.jsonl"
        assert audit(file).epochs[:2] == [ONCE.format(0), ONCE.format(1)]
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        ledgers[name] = [line["digest"] for line in lines if "batch" in line]
    for name in ("three", "changing"):
        assert ledgers[name] == ledgers["one"]
        for key in ("train/loss", "validation/loss"):
            alone, together = (
                {row["step"]: row[key] for row in rows[each] if key in row}
                for each in ("one", name)
            )
            # The shorter part has measured the validation loss at its end as well.
            assert {step: together[step] for step in alone} == pytest.approx(alone, rel=1e-6)
