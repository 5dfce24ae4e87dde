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
        embed: as `LanguageModel.embed`: (ids, lengths, position) -> final hidden states, in any
            precision; lengths and position may be None.
        decoder: its decoder, applied in fp32, and only to the positions that are read.
        batch_size: rows every call of `embed` gets, filled up with [PAD], so that a compiled
            network sees one shape.
        causal: whether position i of the network predicts base i + 1, not base i.
    """

    def __init__(
        self,
        embed: Callable[[Tensor, Tensor | None, int | None], Tensor],
        decoder: nn.Linear,
        batch_size: int,
        *,
        causal: bool,
    ):
        self.embed, self.decoder, self.batch_size = embed, decoder, batch_size
        self.causal = causal

    def at(self, ids: Bytes, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of acgt at one position a window; of the base after it where causal.

        Args:
            ids: uint8 [n, width]; as many as come, `batch_size` at a time.
            positions: int64 [n], 0-based. Where all are the same, no more of the network is
                computed than that one depends on.

        Returns:
            float32 [n, 4]
        """
        if len(positions) and (positions == positions[0]).all():
            chosen = self.hidden(ids, int(positions[0]))
        else:
            starts = range(0, max(len(ids), 1), self.batch_size)
            chosen = torch.cat([self._chosen(ids, positions, start) for start in starts])
        # Fetched at once: a device that waits for its answers to be fetched stands idle.
        return self.bases(chosen).cpu().numpy()

    def everywhere(self, ids: Bytes) -> NDArray[np.float32]:
        """Log-probabilities of acgt everywhere: uint8 ids [n, width] -> float32 [n, width, 4]."""
        return self.bases(self.hidden(ids)).log_softmax(-1).cpu().numpy()

    def hidden(self, ids: Bytes, position: int | None = None) -> Tensor:
        """Final hidden states of uint8 ids [n, width], `batch_size` windows at a time.

        Args:
            ids: uint8 [n, width].
            position: the only one that is wanted, 0-based.

        Returns:
            [n, width, size] in the network's precision, [n, size] of one position.
        """
        starts = range(0, max(len(ids), 1), self.batch_size)
        parts = [self._batch(ids[start : start + self.batch_size], position) for start in starts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _chosen(self, ids: Bytes, positions: NDArray[np.int64], start: int) -> Tensor:
        rows = slice(start, start + self.batch_size)
        hidden = self.hidden(ids[rows])
        places = torch.from_numpy(positions[rows]).to(hidden.device)
        return hidden[torch.arange(len(hidden), device=hidden.device), places]

    def _batch(self, ids: Bytes, position: int | None) -> Tensor:
        # The device is looked up late: a trainer may move its model after this was made.
        tensor = torch.from_numpy(np.ascontiguousarray(ids)).to(self.decoder.weight.device)
        filled = F.pad(tensor, (0, 0, 0, self.batch_size - len(ids)), value=PAD)
        lengths = None if ids.all() else (filled != PAD).sum(1)  # [PAD] is 0
        return self.embed(filled, lengths, position)[: len(ids)]

    def bases(self, hidden: Tensor) -> Tensor:
        """Logits of acgt: hidden states [..., size] -> float32 [..., 4]."""
        return F.linear(hidden.float(), self.decoder.weight[FIRST_BASE:].float())
