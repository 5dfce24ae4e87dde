"""A network as the plain functions of numpy arrays that scores and held-out losses ask for."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glm_composer.models.language_model import LanguageModel
from glm_composer.sequence import FIRST_BASE, Bytes

Autocast = Callable[[], contextlib.AbstractContextManager[Any]]


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; modes of all submodules and random state come back after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.random.fork_rng(), torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Predictor:
    """Asks a network for the bases at chosen positions. Use it within `evaluating`.

    Args:
        model: the network, on any device.
        autocast: makes the precision context of each forward pass.
    """

    def __init__(self, model: LanguageModel, autocast: Autocast = contextlib.nullcontext):
        self.model = model
        self.autocast = autocast

    def at(self, ids: Bytes, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of acgt at one position a window.

        Args:
            ids: uint8 [n, width].
            positions: int64 [n], 0-based.

        Returns:
            float32 [n, 4]
        """
        with self.autocast():
            logits = self.model.logits_at(self._tensor(ids), self._tensor(positions))
        return logits[:, FIRST_BASE:].float().cpu().numpy()

    def everywhere(self, ids: Bytes) -> NDArray[np.float32]:
        """Log-probabilities of acgt at every position: uint8 ids [n, width] -> float32 [n, width, 4]."""
        with self.autocast():
            logits = self.model(self._tensor(ids))
        return logits[..., FIRST_BASE:].float().log_softmax(-1).cpu().numpy()

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        # Looked up late: a trainer may move its model after this was made.
        device = next(self.model.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
