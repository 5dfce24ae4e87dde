"""Settings of the evaluation section: what is measured besides the loss."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import PositiveInt

from glm_composer.config.values import Interval, check_plain


@dataclass(frozen=True, kw_only=True)
class VariantTableConfig:
    """A table of labelled variants, scored during training.

    Attributes:
        variants: Parquet or TSV file with TraitGym's columns.
        genome: indexed FASTA of the variants' assembly.
        interval: how often to score it during training.
        chroms: score only variants on these chromosomes during training; null for all.
        report_chroms: score only variants on these for the final report; null for all.
        score: which score the metrics are computed of.
        window: bases around each variant; null for the training window.
        strands: average both strands, or read only the forward one.
        batch_size: windows a forward pass.
        allow_mismatch: drop variants whose reference allele is not the genome's instead of
            refusing.
    """

    variants: str
    genome: str
    interval: Interval = "1000ba"
    chroms: list[str] | None = None
    report_chroms: list[str] | None = None
    score: Literal["LLR.minus.score", "absLLR.plus.score"] = "LLR.minus.score"
    window: PositiveInt | None = None
    strands: Literal["both", "forward"] = "both"
    batch_size: PositiveInt = 128
    allow_mismatch: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure besides the loss.

    Attributes:
        tables: variant tables by name; metrics are logged as `eval/NAME/METRIC`.
        report_split: split on which the final report compares the model with the baselines.
        mask_rate: fraction of its bases that are masked, all as [MASK], for that comparison.
        baseline_windows: training windows the baselines are fitted on, evenly spaced.
    """

    tables: dict[str, VariantTableConfig] = field(default_factory=dict)
    report_split: str = "test"
    mask_rate: Annotated[float, Ge(0.01), Le(0.99)] = 0.15
    baseline_windows: PositiveInt = 50_000

    def __post_init__(self) -> None:
        for name in self.tables:
            check_plain("tables", name)
