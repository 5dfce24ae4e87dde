"""Variant evaluations of runs that were killed: none is lost, none is there twice."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from composer.core import Callback, Event, State
from composer.loggers import Logger

from glm_composer.config import Config
from glm_composer.metrics_log import read_metrics
from glm_composer.training.build import build_trainer


class CopyRun(Callback):
    """Copies the run's directory as a kill would leave it, right after a batch may be saved."""

    def __init__(self, config: Config, batch: int, to: Path):
        self.config, self.batch, self.to = config, batch, to

    def run_event(self, event: Event, state: State, logger: Logger) -> None:
        if event == Event.BATCH_CHECKPOINT and state.timestamp.batch.value == self.batch:
            shutil.copytree(self.config.run_dir, self.to, symlinks=True)


def fit(config: Config, *more: Callback) -> None:
    trainer = build_trainer(config)
    trainer.state.callbacks.extend(more)
    trainer.fit()
    trainer.close()


def rows(config: Config) -> list[dict[str, float]]:
    """All lines but for what depends on the clock."""
    return [
        {name: value for name, value in row.items() if not name.startswith(("throughput", "data"))}
        for row in read_metrics(config.run_dir / "metrics.jsonl")
    ]


def kept(config: Config) -> dict[int, pl.DataFrame]:
    """Scores by step."""
    files = (config.run_dir / "scores/coding").iterdir()
    found = {int(path.stem.removeprefix("ba")): pl.read_parquet(path) for path in files}
    return dict(sorted(found.items()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "interval", "evaluated"),
    [
        # Evaluated and saved at once; the line is written with the next step only.
        (8, "4ba", [4, 8]),
        # Evaluated, but the checkpoint to go on from is an earlier one.
        (6, "3ba", [3, 6, 9]),
        # Saved as the last batch of an epoch, which is evaluated after that.
        (8, "1ep", [8]),
    ],
)
def test_a_killed_run_has_every_evaluation_once(
    configure, yeast, tmp_path, batch, interval, evaluated
):
    files = f"variants: {yeast}/variants.parquet, genome: {yeast}/genome.fa"
    table = (
        f"evaluation.tables.coding={{{files}, interval: {interval}, chroms: [chr15], window: 9}}"
    )
    common = [table, "scheduler={name: constant}", "save_interval=4ba", "max_duration=10ba"]
    whole = configure("run_name=whole", *common)
    copy = CopyRun(whole, batch, tmp_path / "killed")
    fit(whole, copy)
    killed = configure("run_name=killed", *common)
    # Of a step behind the checkpoint, which the run that goes on does not come to.
    (killed.run_dir / "scores/coding").mkdir(parents=True, exist_ok=True)
    (killed.run_dir / "scores/coding/ba99.parquet").touch()
    fit(killed)
    assert rows(killed) == rows(whole)
    assert [list(kept(config)) for config in (killed, whole)] == [evaluated, evaluated]
    assert [each["step"] for each in rows(whole) if "eval/coding/auprc" in each] == evaluated
    for step, scores in kept(whole).items():
        assert kept(killed)[step].equals(scores)
