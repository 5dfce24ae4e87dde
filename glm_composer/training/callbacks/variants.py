"""Scores variant tables during training and logs how well the scores tell labels apart."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import polars as pl
from composer.core import Callback, State, Time, ensure_time
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.config import VariantTableConfig
from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.scores import Values
from glm_composer.evaluation.table import VariantWindows
from glm_composer.runs.events import append_event
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.scoring import about, moment, score_table, write_table

Averaged = Callable[[], AbstractContextManager[None]]


class EvaluateVariants(Callback):
    """Scores a table at its interval; training goes on undisturbed.

    Logged are `eval/NAME/METRIC` of the first score, and where there are several
    `eval/NAME/SCORE/METRIC` of each. The scores themselves stay in the run's directory, as
    `scores/NAME/baSTEP.parquet`: the variants' rows with a column for each score.

    Args:
        name: of the table.
        config: its settings.
        variants: its rows and windows, all of them.
        model: the model that is being trained.
        run_dir: the run's directory.
        averaged: context within which the model has the weights to score with.
    """

    def __init__(
        self,
        name: str,
        config: VariantTableConfig,
        variants: VariantWindows,
        model: GenomicModel,
        run_dir: Path,
        averaged: Averaged = nullcontext,
    ):
        self.name, self.config, self.model, self._averaged = name, config, model, averaged
        self.variants = variants.take(variants.on(config.chroms))
        self.interval: Time = ensure_time(config.interval, "ba")
        self._run_dir, self.folder = run_dir, run_dir / "scores" / name

    def fit_start(self, state: State, logger: Logger) -> None:
        """Remove the scores of steps behind the checkpoint, which are to be taken again."""
        if dist.get_global_rank() == 0:
            for path in self.folder.glob("ba*.parquet"):
                if int(path.stem.removeprefix("ba")) > state.timestamp.batch.value:
                    path.unlink()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Score when an interval of batches is over."""
        if self.interval.unit == "ba" and state.timestamp.batch.value % self.interval.value == 0:
            self._evaluate(state, logger)

    def epoch_end(self, state: State, logger: Logger) -> None:
        """Score when an interval of epochs is over."""
        if self.interval.unit == "ep" and state.timestamp.epoch.value % self.interval.value == 0:
            self._evaluate(state, logger)

    def _evaluate(self, state: State, logger: Logger) -> None:
        with self._averaged():
            scores = score_table(self.model, self.variants, self.config)
        # First, so that scores which cannot be ranked can be looked at.
        self._keep(scores, state)
        try:
            figures = {name: summarize(self.variants.table, scores[name]) for name in scores}
        except UserError as error:
            batch = state.timestamp.batch.value
            raise UserError(
                f"evaluation.tables.{self.name}, after batch {batch}: {error}"
            ) from None
        for place, name in enumerate(figures):
            keys = [f"eval/{self.name}"] if place == 0 else []
            keys += [f"eval/{self.name}/{name}"] if len(figures) > 1 else []
            for key in keys:
                logger.log_metrics({f"{key}/{k}": v for k, v in figures[name].items()})
        if dist.get_global_rank() == 0:
            step = state.timestamp.batch.value
            append_event(self._run_dir, "evaluated", name=self.name, step=step)

    def _keep(self, scores: dict[str, Values], state: State) -> None:
        if dist.get_global_rank() != 0:
            return
        model = f"{state.run_name}/{moment(state)}"
        table = self.variants.table.with_columns(pl.Series(k, v) for k, v in scores.items())
        facts = about(self.name, self.config, self.variants, model=model)
        write_table(self.folder / f"{moment(state)}.parquet", table, facts)
