"""Logs the training losses of the global batch, exact over micro-batches and ranks."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.errors import UserError
from glm_composer.training.losses import NAMES


class LogLosses(Callback):
    """Logs `train/loss`, `train/loss_full`, `train/loss_unmasked` (nats) and `train/perplexity`.

    Of several streams also `train/STREAM/loss` and `data/STREAM/windows`, how many windows of it
    the batch held. Stops the run when the loss is no longer a number.

    Args:
        streams: their names.
    """

    def __init__(self, streams: Sequence[str] = ()) -> None:
        self._streams = streams
        self._stream_sums: torch.Tensor | None = None
        self._sums: torch.Tensor | None = None
        self.last: dict[str, float] = {}

    def after_forward(self, state: State, logger: Logger) -> None:
        """Add a micro-batch."""
        outputs = cast(dict[str, torch.Tensor], state.outputs)
        sums = outputs["sums"].double()
        self._sums = sums if self._sums is None else self._sums + sums
        if self._streams:
            each = outputs["streams"]
            self._stream_sums = each if self._stream_sums is None else self._stream_sums + each

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
        self.last |= self._by_stream()
        logger.log_metrics(self.last)
        if not math.isfinite(loss):
            raise UserError(
                f"loss is {loss} at batch {state.timestamp.batch.value}; sample ids on rank "
                f"{dist.get_global_rank()}: {state.batch['id'].tolist()}"
            )

    def _by_stream(self) -> dict[str, float]:
        if self._stream_sums is None:
            return {}
        sums, self._stream_sums = self._stream_sums, None
        dist.all_reduce(sums)
        found = {}
        for name, (entropy, weight, windows) in zip(self._streams, sums.tolist(), strict=True):
            found[f"data/{name}/windows"] = windows
            if weight:
                found[f"train/{name}/loss"] = entropy / weight
        return found
