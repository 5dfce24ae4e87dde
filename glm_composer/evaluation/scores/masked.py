"""One pass over masked sites: a distinct window is read once a strand, for all its alts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.evaluation.scores.readings import MaskedSites
from glm_composer.evaluation.scores.windows import Variants, bases, distinct_rows
from glm_composer.sequence import Bytes

Predict = Callable[[Bytes, NDArray[np.int64]], NDArray[np.float32]]
"""(ids uint8 [n, width], positions int64 [n]) -> logits float32 [n, 4].

Row i holds the logits or log-probabilities of a, c, g, t at index positions[i] of window i.
"""


def read_sites(predict: Predict, variants: Variants, batch_size: int) -> MaskedSites:
    """What a model says of each variant's site behind [MASK], on the variants' strand.

    Args:
        predict: the model; called with `batch_size` windows at a time, fewer in the last call.
        variants: n of them; those that share a window (several alts of a site) share a prediction.
        batch_size: windows per call.

    Raises:
        ValueError: `predict` answers with another shape than [n, 4].
    """
    ids = variants.with_base(sequence.MASK)
    keep, site_of = distinct_rows(ids)
    logits = np.empty((len(keep), 4), dtype=np.float32)
    for start in range(0, len(keep), batch_size):
        batch = ids[keep[start : start + batch_size]]
        answer = np.asarray(predict(batch, np.full(len(batch), variants.position, dtype=np.int64)))
        if answer.shape != (len(batch), 4):
            raise ValueError(f"predict gave {answer.shape} for {len(batch)} windows, not [n, 4]")
        logits[start : start + len(batch)] = answer
    return MaskedSites(logits[site_of], bases(variants.ref), bases(variants.alt))
