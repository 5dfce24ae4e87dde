"""What a reader calls scores and metrics; a name that is not known here stands for itself."""

from collections.abc import Sequence

# The score that a linear probe adds.
PROBE = "probe"
_SCORES = {
    "LLR.minus.score": "-LLR",
    "absLLR.plus.score": "|LLR|",
    "Embeddings.plus.euclidean_distance": "L2 distance",
    "Embeddings.plus.cosine_distance": "cosine distance",
    "Embeddings.minus.inner_product": "-inner product",
    PROBE: "linear probe",
}
_METRICS = {
    "auprc": "AUPRC",
    "auprc_by_chrom": "AUPRC by chrom.",
    "auroc": "AUROC",
    "mrr": "MRR",
    "pairwise_accuracy": "pairwise accuracy",
    "spearman": "Spearman",
    "pearson": "Pearson",
}


# Classes of the page's style that hold a colour, but for grey: that is for what is compared with.
_COLOURS = ("p0", "p4", "p3", "p2", "p5", "p6")


def score_colour(scores: Sequence[str], name: str) -> str:
    """Class of a score's colour, the same all over a page."""
    around, place = divmod(list(scores).index(name), len(_COLOURS))
    # A second round through the colours is told apart by dashes.
    return _COLOURS[place] + (" dashed" if around else "")


def readable_score(name: str) -> str:
    """Spell out one of TraitGym's scores."""
    return _SCORES.get(name, name)


def readable_metric(name: str) -> str:
    """Spell out a metric."""
    return _METRICS.get(name, name)
