"""How much an allele moves what the model says of all other positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_composer.evaluation.scores.readings import Score, WindowPairs
from glm_composer.registry import scores

if TYPE_CHECKING:
    from torch import Tensor


def influence(pairs: WindowPairs) -> Tensor:
    """Mean over the window's other positions of the largest |change of log odds| of the 4 bases.

    log odds of base b = ln p(b) - ln(1 - p(b)), p normalised over the four bases, in windows where
    nothing is masked. A position that a causal model predicts from nothing, the first, changes by
    0. The mean over no other positions, of a window of one base, is 0.

    Source: `run_vep_influence.py` of songlab-cal/gpn.
    """
    ref, alt = (_log_odds(pairs.bases(each)) for each in (pairs.ref_hidden, pairs.alt_hidden))
    change = (alt - ref).abs().amax(-1)
    width = change.shape[1]
    if pairs.causal:
        # Row i is of base i + 1: the last row is of none, and the variant's does not change.
        others = change[:, :-1]
    else:
        others = change.clone()
        others[:, pairs.position] = 0
    return others.sum(1) / max(width - 1, 1)


def _log_odds(logits: Tensor) -> Tensor:
    """[..., 4] -> [..., 4]; by way of ln(1 - p) a sure base's would be infinite."""
    columns = range(logits.shape[-1])
    others = [[other for other in columns if other != base] for base in columns]
    return logits - logits[..., others].logsumexp(-1)


@scores.register("influence")
def build_influence(causal: bool) -> Score:
    """Build the mean change of the log odds at all other positions."""
    return Score(WindowPairs, influence)
