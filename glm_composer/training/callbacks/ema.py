"""An exponential moving average of the weights, kept beside those that are trained.

Evaluation meets the average, training never does. Composer 0.32.1's own EMA is not used: it swaps
the average in for checkpoints, so that what lies where depends on when it is read, it leaves the
trained weights in place after the last evaluation, and it silently keeps nothing where a run goes
on with another number of ranks, for whose wrapper its names are made.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from torch import Tensor

from glm_composer.training.checkpoint_file import EMA_WEIGHTS
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.parallel import cut, gather, let_go


class EMA(Callback):
    """Averages the weights after every step: average += (1 - d) x (weights - average).

    d is `decay`, but in the n-th step at most (1 + n) / (10 + n), so that the initial weights are
    soon forgotten (TensorFlow's rule, as in timm and diffusers). In fp32, whatever the weights
    are in: what a step adds would be lost in bf16.

    Args:
        model: the model that is being trained.
        decay: share of the average that a step keeps.
    """

    def __init__(self, model: GenomicModel, decay: float):
        self._model, self._decay = model, decay
        self._steps = 0
        self._average: dict[str, Tensor] = {}
        self._swapped = contextlib.ExitStack()

    def fit_start(self, state: State, logger: Logger) -> None:
        """Start from the weights, unless a checkpoint's average goes on."""
        if not self._average:
            self._average = {
                name: p.detach().to(torch.float32, copy=True)
                for name, p in self._model.named_parameters()
            }

    def batch_end(self, state: State, logger: Logger) -> None:
        """Average."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        weights = [p.detach().float() for p in self._model.parameters()]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    def eval_start(self, state: State, logger: Logger) -> None:
        """Swap the average in."""
        self._swapped.enter_context(self.averaged())

    def eval_end(self, state: State, logger: Logger) -> None:
        """Swap the trained weights back in."""
        self._swapped.close()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model the average for a while, and its own weights back, bit for bit."""
        if not self._average:
            yield
            return
        let_go(self._model)
        own = [p.detach().clone() for p in self._model.parameters()]
        self.use()
        try:
            yield
        finally:
            _copy(self._model, own)

    def use(self) -> None:
        """Give the model the average for good."""
        _copy(self._model, list(self._average.values()))

    def state_dict(self) -> dict[str, Any]:
        """Return the average, whole, and how many steps it is of."""
        average = {name: gather(each).cpu() for name, each in self._average.items()}
        return {"steps": self._steps, EMA_WEIGHTS: average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them from a checkpoint, to where and as the weights are."""
        self._steps = state["steps"]
        self._average = {
            name: cut(state[EMA_WEIGHTS][name].to(p.device, torch.float32), p.detach())
            for name, p in self._model.named_parameters()
        }


def _copy(model: GenomicModel, weights: list[Tensor]) -> None:
    let_go(model)
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
