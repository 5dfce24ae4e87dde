"""Logs which share of each step the training loop has waited for its batch."""

import time

from composer.core import Callback, State
from composer.loggers import Logger


class LogDataWait(Callback):
    """Logs `data/wait_share`, from 0 to 1: time for a batch over time for the whole step.

    A step is from asking for its batch to the end of the optimizer's work, without evaluations and
    checkpoints. An epoch's first batch is not made ahead, so that its share is larger.
    """

    def __init__(self) -> None:
        self._asked = self._waited = 0.0

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """The loop asks for a batch."""
        self._asked = time.perf_counter()

    def after_dataloader(self, state: State, logger: Logger) -> None:
        """It has it."""
        self._waited = time.perf_counter() - self._asked

    def batch_end(self, state: State, logger: Logger) -> None:
        """Log the share."""
        share = self._waited / (time.perf_counter() - self._asked)
        logger.log_metrics({"data/wait_share": share})
