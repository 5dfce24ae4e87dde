"""Logs the training losses of the global batch, exact over micro-batches and ranks."""

import math
from typing import cast

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.errors import UserError
from glm_composer.training.losses import NAMES


class LogLosses(Callback):
    """Logs `train/loss`, `train/loss_full`, `train/loss_unmasked` (nats) and `train/perplexity`.

    Stops the run when the loss is no longer a number.
    """

    def __init__(self) -> None:
        self._sums: torch.Tensor | None = None
        self.last: dict[str, float] = {}

    def after_forward(self, state: State, logger: Logger) -> None:
        """Add a micro-batch."""
        sums = cast(dict[str, torch.Tensor], state.outputs)["sums"].double()
        self._sums = sums if self._sums is None else self._sums + sums

    def batch_end(self, state: State, logger: Logger) -> None:
        """Log one ratio over the global batch."""
        assert self._sums is not None
        dist.all_reduce(self._sums)
        ratios = (self._sums[:, 0] / self._sums[:, 1]).tolist()
        self._sums = None
        # A batch without any soft-unmasked base has no such loss; it is left out, not logged as
        # NaN.
        self.last = {
            f"train/{name}": value
            for name, value in zip(NAMES, ratios, strict=True)
            if not math.isnan(value) or name == "loss"
        }
        loss = self.last["train/loss"]
        self.last["train/perplexity"] = math.exp(min(loss, 700.0))
        logger.log_metrics(self.last)
        if not math.isfinite(loss):
            raise UserError(
                f"loss is {loss} at batch {state.timestamp.batch.value}; sample ids on rank "
                f"{dist.get_global_rank()}: {state.batch['id'].tolist()}"
            )
