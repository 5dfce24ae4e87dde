"""How far an allele moves a window's final hidden states, taken as one vector of width x size.

Definitions: `run_vep_embeddings.py` of songlab-cal/gpn and `run_vep_evo2.py` of
songlab-cal/TraitGym, without the 1e-6 that torch's `pairwise_distance` adds to every difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glm_composer.evaluation.scores.readings import Score, WindowPairs
from glm_composer.registry import scores

if TYPE_CHECKING:
    from torch import Tensor


def euclidean_distance(pairs: WindowPairs) -> Tensor:
    """|ref - alt|."""
    return (pairs.ref_hidden - pairs.alt_hidden).flatten(1).norm(dim=1)


def inner_product(pairs: WindowPairs) -> Tensor:
    """Ref . alt."""
    return _dot(pairs.ref_hidden, pairs.alt_hidden)


def cosine_distance(pairs: WindowPairs) -> Tensor:
    """1 - ref . alt / (|ref| |alt|).

    As (|ref - alt|^2 - (|ref| - |alt|)^2) / (2 |ref| |alt|), for the cosine of two windows that
    differ in one base is so near 1 that a difference from it has few digits left.
    """
    ref, alt = pairs.ref_hidden, pairs.alt_hidden
    ref_norm, alt_norm = ref.flatten(1).norm(dim=1), alt.flatten(1).norm(dim=1)
    difference = alt - ref
    longer = _dot(difference, alt + ref) / (alt_norm + ref_norm)  # |alt| - |ref|
    return (_dot(difference, difference) - longer.square()) / (2 * ref_norm * alt_norm)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).flatten(1).sum(1)


@scores.register("Embeddings.plus.euclidean_distance")
def build_euclidean_distance(causal: bool) -> Score:
    """Build the Euclidean distance between the windows' hidden states."""
    return Score(WindowPairs, euclidean_distance)


@scores.register("Embeddings.minus.inner_product")
def build_minus_inner_product(causal: bool) -> Score:
    """Build minus the inner product of the windows' hidden states."""
    return Score(WindowPairs, inner_product, np.negative)


@scores.register("Embeddings.plus.cosine_distance")
def build_cosine_distance(causal: bool) -> Score:
    """Build the cosine distance between the windows' hidden states."""
    return Score(WindowPairs, cosine_distance)
