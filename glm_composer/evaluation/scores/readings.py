"""What a score is made of: readings of a model on one strand, a measure, an average, a finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # Tensors are handled through their methods only: asking for names does not wait for torch.
    from torch import Tensor

Values = NDArray[np.float32]
Indices = NDArray[np.intp]
Strands = Literal["both", "forward"]


@dataclass(frozen=True, eq=False)
class MaskedSites:
    """What a model says of n variants' sites on one strand, each behind [MASK].

    Attributes:
        logits: float32 [n, 4], logits or log-probabilities of a, c, g, t of that strand.
        ref: [n], which of the four the reference allele is on that strand.
        alt: [n], which of them the alternative allele is.
    """

    logits: Values
    ref: Indices
    alt: Indices


@dataclass(frozen=True, eq=False)
class WindowPairs:
    """What a model makes of n variants' windows on one strand, nothing masked, ref beside alt.

    Attributes:
        ref_hidden: final hidden states [n, width, size] with the reference allele, float32.
        alt_hidden: the same with the alternative allele.
        ref_ids: ids [n, width] of these windows, int64.
        alt_ids: the same with the alternative allele.
        position: where in the windows the variants lie, 0-based.
        causal: position i of the hidden states predicts base i + 1, not base i.
        bases: the decoder: hidden states [..., size] -> logits of a, c, g, t [..., 4].
    """

    ref_hidden: Tensor
    alt_hidden: Tensor
    ref_ids: Tensor
    alt_ids: Tensor
    position: int
    causal: bool
    bases: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Score:
    """How a named score comes about.

    Attributes:
        reads: what the measure takes, `MaskedSites` or `WindowPairs`.
        measure: the value [n] of n variants on one strand, an array or a tensor; both strands'
            are averaged. Scores that share a measure share its work, and scores that read the
            same share the model's.
        finish: what follows from the average.
    """

    reads: type[MaskedSites] | type[WindowPairs]
    measure: Callable[[Any], Any]
    finish: Callable[[Values], Values] = np.asarray
