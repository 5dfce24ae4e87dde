"""The metrics that every table is measured by, under the names that logs and reports give them."""

from glm_composer.evaluation.metrics import chromosomes, correlation, matched, ranking
from glm_composer.evaluation.metrics.rows import Estimate, ScoredRows
from glm_composer.registry import metrics


@metrics.register("auprc")
def auprc(rows: ScoredRows) -> Estimate | None:
    """Average precision, 100 bootstraps stratified by label."""
    if rows.label is None:
        return None
    asked = rows.label, rows.score
    return Estimate(ranking.auprc(*asked), ranking.auprc_se(*asked))


@metrics.register("auprc_by_chrom")
def auprc_by_chrom(rows: ScoredRows) -> Estimate | None:
    """TraitGym's AUPRC_by_chrom_weighted_average, 1,000 bootstraps over chromosomes."""
    if rows.label is None or rows.chrom is None:
        return None
    asked = rows.label, rows.score, rows.chrom
    return Estimate(
        chromosomes.auprc_by_chrom_weighted_average(*asked),
        chromosomes.auprc_by_chrom_weighted_average_se(*asked),
    )


@metrics.register("auroc")
def auroc(rows: ScoredRows) -> Estimate | None:
    """Area under the ROC curve, 100 bootstraps stratified by label."""
    if rows.label is None:
        return None
    asked = rows.label, rows.score
    return Estimate(ranking.auroc(*asked), ranking.auroc_se(*asked))


@metrics.register("mrr")
def mrr(rows: ScoredRows) -> Estimate | None:
    """Mean reciprocal rank of the positives within their match groups."""
    if rows.label is None or rows.match_group is None:
        return None
    return matched.mean_reciprocal_rank(rows.label, rows.score, rows.match_group)


@metrics.register("pairwise_accuracy")
def pairwise_accuracy(rows: ScoredRows) -> Estimate | None:
    """Share of its own controls that a positive outscores."""
    if rows.label is None or rows.match_group is None:
        return None
    return matched.pairwise_accuracy(rows.label, rows.score, rows.match_group)


@metrics.register("spearman")
def spearman(rows: ScoredRows) -> Estimate | None:
    """Rank correlation with the measured quantity, 100 bootstraps."""
    if rows.quantity is None:
        return None
    asked = rows.quantity, rows.score
    return Estimate(correlation.spearman(*asked), correlation.spearman_se(*asked))


@metrics.register("pearson")
def pearson(rows: ScoredRows) -> Estimate | None:
    """Linear correlation with the measured quantity, 100 bootstraps."""
    if rows.quantity is None:
        return None
    asked = rows.quantity, rows.score
    return Estimate(correlation.pearson(*asked), correlation.pearson_se(*asked))
