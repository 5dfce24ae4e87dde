"""A network as the plain functions of numpy arrays that scores and held-out losses ask for."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from glm_composer.sequence import FIRST_BASE, PAD, Bytes


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; modes and random state are as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Predictor:
    """Asks a network for the bases at chosen positions. Use it within `evaluating`.

    Args:
        embed: final hidden states [n, width, size] of ids [n, width], in any precision; where
            windows end in [PAD], their lengths [n] are its second argument.
        decoder: its decoder, applied in fp32, and only to the positions that are read.
        batch_size: rows every call of `embed` gets, filled up with [PAD], so that a compiled
            network sees one shape.
    """

    def __init__(self, embed: Callable[..., Tensor], decoder: nn.Linear, batch_size: int):
        self.embed, self.decoder, self.batch_size = embed, decoder, batch_size

    def at(self, ids: Bytes, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of acgt at one position a window.

        Args:
            ids: uint8 [n, width], n at most `batch_size`.
            positions: int64 [n], 0-based.

        Returns:
            float32 [n, 4]
        """
        chosen = self._hidden(ids)[torch.arange(len(ids)), torch.from_numpy(positions)]
        return self._bases(chosen).cpu().numpy()

    def everywhere(self, ids: Bytes) -> NDArray[np.float32]:
        """Log-probabilities of acgt everywhere: uint8 ids [n, width] -> float32 [n, width, 4]."""
        return self._bases(self._hidden(ids)).log_softmax(-1).cpu().numpy()

    def _hidden(self, ids: Bytes) -> Tensor:
        # The device is looked up late: a trainer may move its model after this was made.
        tensor = torch.from_numpy(np.ascontiguousarray(ids)).to(self.decoder.weight.device)
        filled = F.pad(tensor, (0, 0, 0, self.batch_size - len(ids)), value=PAD)
        lengths = () if ids.all() else ((filled != PAD).sum(1),)  # [PAD] is 0
        return self.embed(filled, *lengths)[: len(ids)]

    def _bases(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden.float(), self.decoder.weight[FIRST_BASE:].float())
