"""Published figures of TraitGym's promoter subset, and how a table is recognised as that subset.

Area under the precision-recall curve over the whole subset, with its standard error over 100
bootstraps stratified by label, as the notebooks of TraitGym's repository print them. They say
nothing of any other table.
"""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from glm_composer.evaluation.strata import TSS_BINS

SUBSET = "nonexonic_AND_proximal"
SOURCE = (
    "Benegas, Eraslan and Song (2025), bioRxiv 2025.02.11.637758; figures of the notebooks "
    "promoter.ipynb and evo2_by_consequence.ipynb of github.com/songlab-cal/TraitGym"
)
MODELS = (
    "CADD: Schubach et al. (2024), doi 10.1093/nar/gkad989; Evo 2: Brixi et al. (2025), bioRxiv "
    "2025.02.18.638918; GPN-Animal-Promoter: songlab/gpn-animal-promoter on Hugging Face"
)
_CONTROLS = 9
_PROXIMAL = TSS_BINS[1]


class Figure(NamedTuple):
    """A published area under the precision-recall curve."""

    model: str
    score: str
    auprc: float
    se: float


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A promoter subset of TraitGym.

    Attributes:
        title: what a reader calls it.
        positives: how many; each has nine matched controls.
        column: one that only this trait set has.
        figures: the highest first.
    """

    title: str
    positives: int
    column: str
    figures: tuple[Figure, ...]

    @property
    def rows(self) -> int:
        """Positives and controls."""
        return self.positives * (1 + _CONTROLS)


BENCHMARKS = {
    "mendelian_promoter": Benchmark(
        title="TraitGym, Mendelian traits, promoters",
        positives=90,
        column="OMIM",
        figures=(
            Figure("CADD", "RawScore", 0.736, 0.041),
            Figure("GPN-Animal-Promoter", "L2", 0.644, 0.051),
            Figure("Evo 2 40B", "-LLR", 0.609, 0.039),
            Figure("GPN-Animal-Promoter", "-LLR", 0.577, 0.043),
            Figure("Evo 2 40B", "L2", 0.503, 0.043),
        ),
    ),
    "complex_promoter": Benchmark(
        title="TraitGym, complex traits, promoters",
        positives=105,
        column="pip",
        figures=(
            Figure("CADD", "RawScore", 0.263, 0.033),
            Figure("Evo 2 40B", "L2", 0.192, 0.028),
            Figure("Evo 2 40B", "|LLR|", 0.170, 0.023),
            Figure("GPN-Animal-Promoter", "L2", 0.170, 0.025),
            Figure("GPN-Animal-Promoter", "|LLR|", 0.112, 0.017),
        ),
    ),
}


def misfits(table: pl.DataFrame, benchmark: Benchmark) -> list[str]:
    """What tells a labelled table from a benchmark, each in a few words; empty if nothing does."""
    wanted = (benchmark.column, "consequence", "tss_dist", "match_group")
    found = [f"it has no column '{name}'" for name in wanted if name not in table.columns]
    if len(table) != benchmark.rows:
        found.append(f"it has {len(table):,} rows instead of {benchmark.rows:,}")
    positive = table.filter(pl.col("label").cast(pl.Boolean))
    if len(positive) != benchmark.positives:
        found.append(f"it has {len(positive):,} positives instead of {benchmark.positives:,}")
    if "tss_dist" in table.columns and not (positive["tss_dist"] <= _PROXIMAL).all():
        found.append(f"not all of its positives are within {_PROXIMAL:,} bp of a start site")
    if "match_group" in table.columns:
        groups = table.group_by("match_group").agg(pl.col("label").cast(pl.Int64).sum(), pl.len())
        if not (groups["label"].eq(1) & groups["len"].eq(1 + _CONTROLS)).all():
            found.append(f"not all of its groups are a positive and {_CONTROLS} controls")
    return found


def recognise(table: pl.DataFrame) -> str | None:
    """Name of the benchmark that a labelled table is, None if it is none of them."""
    return next((name for name, each in BENCHMARKS.items() if not misfits(table, each)), None)
