"""One vector a window: hidden states averaged over positions and strands."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glm_composer import sequence
from glm_composer.evaluation.scores import Strands
from glm_composer.sequence import Bytes

Floats = NDArray[np.float32]


def window_embeddings(
    hidden: Callable[[Bytes], Tensor],
    windows: Bytes,
    *,
    centre: int | None = None,
    strands: Strands = "both",
    batch_size: int,
) -> Floats:
    """Mean of the final hidden states of each window, nothing masked.

    The reverse complement's hidden states are flipped along the window, so that both strands speak
    of the same bases, and the two means averaged.

    Args:
        hidden: the model: ids uint8 [n, width] -> hidden states [n, width, size]; called with
            `batch_size` windows at a time, fewer in the last call.
        windows: ASCII uint8 [n, width]; case is ignored, N is a token like any other.
        centre: average over so many central positions, the first at index
            width//2 - centre//2 of the window; None for all.
        strands: average over both strands, or the forward one alone.
        batch_size: windows per call of `hidden`.

    Returns:
        float32 [n, size]
    """
    width = windows.shape[1]
    start, end = averaged_stretch(width, centre)
    ids = sequence.encode(windows)
    parts = []
    for first in range(0, len(ids), batch_size):
        batch = ids[first : first + batch_size]
        mean = _mean(hidden(batch), start, end)
        if strands == "both":
            # Flipped, these are the same positions; the mean of them needs no flip.
            turned = hidden(sequence.reverse_complement_ids(batch))
            mean = (mean + _mean(turned, width - end, width - start)) / 2
        parts.append(mean.cpu().numpy())
    return np.concatenate(parts)


def averaged_stretch(width: int, centre: int | None) -> tuple[int, int]:
    """Start and end, half-open, of the positions of a window that are averaged over.

    Raises:
        ValueError: the window has no such centre.
    """
    if centre is None:
        return 0, width
    if not 1 <= centre <= width:
        raise ValueError(f"centre must be between 1 and the window of {width}, not {centre}")
    start = width // 2 - centre // 2
    return start, start + centre


def _mean(hidden: Tensor, start: int, end: int) -> Tensor:
    return hidden[:, start:end].float().mean(1)
