"""Scores variant tables during training and logs how well the scores tell labels apart."""

import numpy as np
from composer.core import Callback, State, Time, ensure_time
from composer.loggers import Logger
from composer.utils import dist
from numpy.typing import NDArray

from glm_composer.config import VariantTableConfig
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import NAMED_SCORES
from glm_composer.evaluation.table import VariantWindows


class EvaluateVariants(Callback):
    """Logs `eval/NAME/METRIC` at the table's interval; training goes on as if nothing had happened.

    Args:
        name: of the table.
        config: its settings.
        variants: its rows and windows, all of them.
        predictor: of the model that is being trained.
    """

    def __init__(
        self,
        name: str,
        config: VariantTableConfig,
        variants: VariantWindows,
        predictor: Predictor,
    ):
        self.name, self.config, self.predictor = name, config, predictor
        self.variants = variants.take(variants.on(config.chroms))
        self.interval: Time = ensure_time(config.interval, "ba")

    def batch_end(self, state: State, logger: Logger) -> None:
        """Score when an interval of batches is over."""
        if self.interval.unit == "ba" and state.timestamp.batch.value % self.interval.value == 0:
            self._evaluate(logger)

    def epoch_end(self, state: State, logger: Logger) -> None:
        """Score when an interval of epochs is over."""
        if self.interval.unit == "ep" and state.timestamp.epoch.value % self.interval.value == 0:
            self._evaluate(logger)

    def _evaluate(self, logger: Logger) -> None:
        scores = distributed_llr(self.predictor, self.variants, self.config)
        figures = summarize(self.variants.table, NAMED_SCORES[self.config.score](scores))
        logger.log_metrics({f"eval/{self.name}/{key}": value for key, value in figures.items()})


def distributed_llr(
    predictor: Predictor, variants: VariantWindows, config: VariantTableConfig
) -> NDArray[np.float32]:
    """Score every variant exactly once over all ranks and return all scores [n] on each of them."""
    rank, ranks = dist.get_global_rank(), dist.get_world_size()
    mine = np.arange(len(variants)) % ranks == rank
    with evaluating(predictor.model):
        part = variants.take(mine).llr(predictor.at, config.strands, config.batch_size)
    scores = np.empty(len(variants), dtype=np.float32)
    for other, values in enumerate(dist.all_gather_object(part)):
        scores[other::ranks] = values
    return scores
