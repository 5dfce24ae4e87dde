"""Logs the training losses of the global batch, exact over micro-batches and ranks."""

import math
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.training.losses import NAMES


class Rider(Protocol):
    """Numbers of each rank that travel with the losses, and so cost no reduction of their own."""

    def give(self) -> list[float]:
        """Return this rank's numbers, as many on every rank."""

    def take(self, sums: list[float]) -> None:
        """Hear their sums over all ranks."""


class LogLosses(Callback):
    """Logs `train/loss`, `train/loss_full`, `train/loss_unmasked` (nats) and `train/perplexity`.

    Of several streams also `train/STREAM/loss` and `data/STREAM/windows`, how many windows of it
    the batch held.

    Args:
        streams: their names.
        rider: whose numbers to add up with those of each batch.
    """

    def __init__(self, streams: Sequence[str] = (), rider: Rider | None = None) -> None:
        self._streams, self._rider = streams, rider
        self._stream_sums: torch.Tensor | None = None
        self._sums: torch.Tensor | None = None

    def before_train_batch(self, state: State, logger: Logger) -> None:
        """Start anew: with automatic micro-batches a batch that ran out of memory is repeated."""
        self._sums = self._stream_sums = None

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
        along = self._rider.give() if self._rider else []
        everything = torch.cat([self._sums.flatten(), self._sums.new_tensor(along)])
        dist.all_reduce(everything)
        numbers, self._sums = everything.tolist(), None
        if self._rider:
            self._rider.take(numbers[2 * len(NAMES) :])
        # A batch without any soft-unmasked base has no such loss; it is left out, not logged as
        # NaN.
        found = {
            f"train/{name}": entropy / weight
            for name, entropy, weight in zip(NAMES, numbers[::2], numbers[1::2], strict=False)
            if weight
        }
        if "train/loss" in found:
            found["train/perplexity"] = math.exp(min(found["train/loss"], 700.0))
        logger.log_metrics(found | self._by_stream())

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
