"""Scores variant tables during training and logs how well the scores tell labels apart."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from composer.core import Callback, State, Time, ensure_time
from composer.loggers import Logger
from composer.utils import dist
from numpy.typing import NDArray

from glm_composer.config import VariantTableConfig
from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import NAMED_SCORES
from glm_composer.evaluation.table import VariantWindows
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.parallel import whole

Averaged = Callable[[], AbstractContextManager[None]]


class EvaluateVariants(Callback):
    """Logs `eval/NAME/METRIC` at the table's interval; training goes on undisturbed.

    Args:
        name: of the table.
        config: its settings.
        variants: its rows and windows, all of them.
        model: the model that is being trained.
        averaged: context within which the model has the weights to score with.
    """

    def __init__(
        self,
        name: str,
        config: VariantTableConfig,
        variants: VariantWindows,
        model: GenomicModel,
        averaged: Averaged = nullcontext,
    ):
        self.name, self.config, self.model, self._averaged = name, config, model, averaged
        self.variants = variants.take(variants.on(config.chroms))
        self.interval: Time = ensure_time(config.interval, "ba")

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
            scores = distributed_llr(self.model, self.variants, self.config)
        try:
            figures = summarize(self.variants.table, NAMED_SCORES[self.config.score](scores))
        except UserError as error:
            batch = state.timestamp.batch.value
            raise UserError(
                f"evaluation.tables.{self.name}, after batch {batch}: {error}"
            ) from None
        logger.log_metrics({f"eval/{self.name}/{key}": value for key, value in figures.items()})


def distributed_llr(
    model: GenomicModel, variants: VariantWindows, config: VariantTableConfig
) -> NDArray[np.float32]:
    """Score every variant exactly once over all ranks; all scores [n] on each of them."""
    rank, ranks = dist.get_global_rank(), dist.get_world_size()
    mine = np.arange(len(variants)) % ranks == rank
    predictor = Predictor(model.embed, model.model.decoder, config.batch_size)
    with whole(model), evaluating(model):
        part = variants.take(mine).llr(predictor.at, config.strands, config.batch_size)
    scores = np.empty(len(variants), dtype=np.float32)
    for other, values in enumerate(dist.all_gather_object(part)):
        scores[other::ranks] = values
    return scores
