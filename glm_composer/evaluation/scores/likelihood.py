"""Log-likelihood ratios of alt over ref: of a masked site, or of a causal model's whole window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from glm_composer.errors import UserError
from glm_composer.evaluation.scores.readings import MaskedSites, Score, Values, WindowPairs
from glm_composer.registry import scores
from glm_composer.sequence import FIRST_BASE

if TYPE_CHECKING:
    from torch import Tensor


def site_ratio(sites: MaskedSites) -> Values:
    """logit[alt] - logit[ref] of the masked site, in nats; negative where ref is preferred.

    Source: Benegas et al. 2023 (GPN); `MLMforVEPModel` of the package gpn 0.9.0.
    """
    rows = np.arange(len(sites.logits))
    return sites.logits[rows, sites.alt] - sites.logits[rows, sites.ref]


def window_ratio(pairs: WindowPairs) -> Tensor:
    """Log-likelihood of the alt window minus that of the ref window, in nats.

    A window's log-likelihood is the sum over its bases but the first of log p(base | all before
    it), p normalised over the four bases; what is none of acgt is never learned and not counted.

    Source: songlab-cal/TraitGym, `run_vep_llr_hyenadna.py` (the sum; normalised over the whole
    vocabulary there) and `run_vep_evo2.py` (the mean, which ranks alike).
    """
    # What stands before the variant is the same in both windows, and cancels out.
    start = max(pairs.position - 1, 0)
    likelihoods = []
    for hidden, ids in ((pairs.alt_hidden, pairs.alt_ids), (pairs.ref_hidden, pairs.ref_ids)):
        logs = pairs.bases(hidden[:, start:-1]).log_softmax(-1)
        targets = ids[:, start + 1 :] - FIRST_BASE
        of_targets = logs.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        likelihoods.append(of_targets.double() * (targets >= 0))
    # Differences first: the sums of two long windows are large and nearly equal.
    return (likelihoods[0] - likelihoods[1]).sum(1)


@scores.register("LLR")
def build_llr(causal: bool) -> Score:
    """Build the log-likelihood ratio of alt over ref: the site's, or a causal model's window's."""
    return _ratio(causal, np.asarray)


@scores.register("LLR.minus.score")
def build_minus_llr(causal: bool) -> Score:
    """Build -LLR: higher where the model prefers the reference allele."""
    return _ratio(causal, np.negative)


@scores.register("absLLR.plus.score")
def build_absolute_llr(causal: bool) -> Score:
    """Build |LLR|, of the average over strands."""
    return _ratio(causal, np.abs)


@scores.register("window_llr")
def build_window_llr(causal: bool) -> Score:
    """Build the log-likelihood ratio of whole windows, which only a causal model has.

    Raises:
        UserError: the model is not causal.
    """
    if not causal:
        raise UserError(
            "score 'window_llr' needs a causal model (model.causal: true), which gives a whole "
            "window a likelihood; ask for 'LLR'"
        )
    return Score(WindowPairs, window_ratio)


def _ratio(causal: bool, finish: Callable[[Values], Values]) -> Score:
    # A model that learned the next base has never seen [MASK].
    if causal:
        return Score(WindowPairs, window_ratio, finish)
    return Score(MaskedSites, site_ratio, finish)
