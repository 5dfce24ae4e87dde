"""How good a score is: TraitGym's metrics and more, fast enough for a callback.

Everywhere a higher score means "positive". Undefined values are errors or NaN, never a convenient
number.
"""

from glm_composer.evaluation.metrics.chromosomes import (
    auprc_by_chrom_weighted_average,
    auprc_by_chrom_weighted_average_se,
)
from glm_composer.evaluation.metrics.correlation import pearson, pearson_se, spearman, spearman_se
from glm_composer.evaluation.metrics.matched import mean_reciprocal_rank, pairwise_accuracy
from glm_composer.evaluation.metrics.ranking import (
    Curve,
    auprc,
    auprc_se,
    auroc,
    auroc_se,
    curve,
)
from glm_composer.evaluation.metrics.rows import Estimate, ScoredRows, scored_rows
from glm_composer.evaluation.metrics.summary import measure, summarize

__all__ = [
    "Curve",
    "Estimate",
    "ScoredRows",
    "auprc",
    "auprc_by_chrom_weighted_average",
    "auprc_by_chrom_weighted_average_se",
    "auprc_se",
    "auroc",
    "auroc_se",
    "curve",
    "mean_reciprocal_rank",
    "measure",
    "pairwise_accuracy",
    "pearson",
    "pearson_se",
    "scored_rows",
    "spearman",
    "spearman_se",
    "summarize",
]
