"""Zero-shot variant scores: what a model says of alt against ref, from windows and nothing else.

A score is a function registered by name (`registry.scores`) that is told whether the model is
causal and answers with a `Score`: what it reads of the model, a measure of it on one strand, and
what follows from the strands' average. No files, no Composer; torch only where the model is asked.
"""

import numpy as np

from glm_composer.evaluation.scores.likelihood import site_ratio
from glm_composer.evaluation.scores.masked import Predict, read_sites
from glm_composer.evaluation.scores.readings import (
    MaskedSites,
    Score,
    Strands,
    Values,
    WindowPairs,
)
from glm_composer.evaluation.scores.score import score_names, score_variants
from glm_composer.evaluation.scores.windows import on_strands, read_windows
from glm_composer.sequence import Bytes

__all__ = [
    "MaskedSites",
    "Predict",
    "Score",
    "Strands",
    "Values",
    "WindowPairs",
    "llr",
    "score_names",
    "score_variants",
]


def llr(
    predict: Predict,
    windows: Bytes,
    ref: Bytes,
    alt: Bytes,
    *,
    strands: Strands = "both",
    batch_size: int,
) -> Values:
    """The log-likelihood ratio of alt over ref at the masked centre, float32 [n].

    As `score_variants` gives it under the name `LLR`, of any function that predicts: a baseline
    has no network.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    sides = on_strands(read_windows(windows, ref, alt), strands)
    ratios = [site_ratio(read_sites(predict, side, batch_size)) for side in sides]
    return np.mean(ratios, axis=0)
