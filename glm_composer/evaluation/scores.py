"""Zero-shot variant scores: what a model says of alt against ref, from windows and nothing else.

Pure functions of numpy arrays and a `predict` callable: no files, no Composer, no torch. The
callable is the model; it decides device, precision and mode, and decodes only the position it is
asked for.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.sequence import Bytes

Predict = Callable[[Bytes, NDArray[np.int64]], NDArray[np.float32]]
"""(ids uint8 [n, width], positions int64 [n]) -> logits float32 [n, 4].

Row i holds the logits or log-probabilities of a, c, g, t at index positions[i] of window i.
"""

Strands = Literal["both", "forward"]

NAMED_SCORES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "LLR.minus.score": np.negative,
    "absLLR.plus.score": np.abs,
}
"""TraitGym's name of a score -> how it follows from the log-likelihood ratio; higher = worse."""


def llr(
    predict: Predict,
    windows: Bytes,
    ref: Bytes,
    alt: Bytes,
    *,
    strands: Strands = "both",
    batch_size: int,
) -> NDArray[np.float32]:
    """Log-likelihood ratio of alt over ref at the masked centre of each window.

    logit[alt] - logit[ref] in nats, read at index width//2, which is replaced by [MASK]. With both
    strands it is averaged with the same on the reverse complement, where the centre is at index
    width - 1 - width//2 and the alleles are complemented. Variants that share a window (several
    alts of one site) share one prediction.

    Args:
        predict: the model; called with `batch_size` windows at a time, fewer in the last call.
        windows: ASCII uint8 [n, width]; `Genome.windows` cuts them so that the variant is central.
        ref: ids of the reference bases, uint8 [n].
        alt: ids of the alternative bases, uint8 [n].
        strands: average over both strands, or the forward one alone.
        batch_size: windows per call of `predict`.

    Returns:
        float32 [n], negative where the model prefers ref.

    Source: Benegas et al. 2023 (GPN); the averaging over strands as in TraitGym.
    """
    _check(windows, ref, alt, strands, batch_size)
    ids = sequence.encode(windows)
    centre = ids.shape[1] // 2
    ids[:, centre] = sequence.MASK
    keep, shared = _distinct_rows(ids)
    ids = ids[keep]

    score = _ratio(_predict_all(predict, ids, centre, batch_size)[shared], ref, alt)
    if strands == "forward":
        return score
    reverse_centre = ids.shape[1] - 1 - centre
    reverse = _predict_all(
        predict, sequence.reverse_complement_ids(ids), reverse_centre, batch_size
    )
    complements = [sequence.reverse_complement_ids(base[:, None])[:, 0] for base in (ref, alt)]
    return (score + _ratio(reverse[shared], *complements)) / 2


def _check(windows: Bytes, ref: Bytes, alt: Bytes, strands: str, batch_size: int) -> None:
    if windows.ndim != 2 or not ref.shape == alt.shape == windows.shape[:1]:
        raise ValueError(
            f"expected windows [n, width], ref [n] and alt [n], not {windows.shape}, {ref.shape} "
            f"and {alt.shape}"
        )
    for name, base in (("ref", ref), ("alt", alt)):
        if ((base < sequence.A) | (base > sequence.T)).any():
            raise ValueError(f"{name} must hold the ids of a, c, g, t, not of other tokens")
    if strands not in ("both", "forward"):
        raise ValueError(f"strands must be 'both' or 'forward', not {strands!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def _distinct_rows(ids: Bytes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to keep, in their order, and for every row which of the kept ones equals it."""
    seen: dict[bytes, int] = {}
    shared = np.fromiter(
        (seen.setdefault(row.tobytes(), len(seen)) for row in ids), dtype=np.intp, count=len(ids)
    )
    return np.unique(shared, return_index=True)[1], shared


def _predict_all(
    predict: Predict, ids: Bytes, position: int, batch_size: int
) -> NDArray[np.float32]:
    """Logits float32 [n, 4] at one position of every window, batch by batch."""
    logits = np.empty((len(ids), 4), dtype=np.float32)
    for start in range(0, len(ids), batch_size):
        batch = np.ascontiguousarray(ids[start : start + batch_size])
        answer = np.asarray(predict(batch, np.full(len(batch), position, dtype=np.int64)))
        if answer.shape != (len(batch), 4):
            raise ValueError(f"predict gave {answer.shape} for {len(batch)} windows, not [n, 4]")
        logits[start : start + len(batch)] = answer
    return logits


def _ratio(logits: NDArray[np.float32], ref: Bytes, alt: Bytes) -> NDArray[np.float32]:
    rows = np.arange(len(logits))
    # Ids are uint8: subtract only after checking that no id lies below the first base.
    return logits[rows, alt - sequence.FIRST_BASE] - logits[rows, ref - sequence.FIRST_BASE]
