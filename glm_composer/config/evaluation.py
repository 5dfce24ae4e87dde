"""Settings of the evaluation section: what is measured besides the loss."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import PositiveInt

from glm_composer.config.values import Interval, NonEmpty, Sha256, check_plain


@dataclass(frozen=True, kw_only=True)
class VariantTableConfig:
    """A table of labelled variants, scored during training.

    Attributes:
        variants: Parquet or TSV file with TraitGym's columns; with `dataset` a Hub name like
            songlab/TraitGym, or a directory of the same files.
        dataset: of TraitGym, like mendelian_traits_matched_9.
        subset: of that dataset, like nonexonic_AND_proximal; null for all of it.
        split: of that dataset.
        revision: of the Hub's repository, a commit or a tag; null for the newest.
        genome: FASTA of the variants' assembly, a file or an address.
        genome_sha256: of that FASTA, as hexadecimal digits, which is checked; an address needs it.
        contigs: file of names, a line the names of one contig with tabs between them; null for
            those of the assemblies that are known (1, chr1, NC_000001.11).
        interval: how often to score it during training.
        chroms: score only variants on these chromosomes during training; null for all.
        report_chroms: score only variants on these for the final report; null for all.
        scores: which, by name; the first is the one that the final report compares.
        window: bases around each variant; null for the training window.
        strands: average both strands, or read only the forward one.
        batch_size: windows a forward pass.
        allow_mismatch: drop variants whose reference allele is not the genome's instead of
            refusing.
    """

    variants: NonEmpty
    dataset: NonEmpty | None = None
    subset: NonEmpty | None = None
    split: NonEmpty = "test"
    revision: NonEmpty | None = None
    genome: NonEmpty
    genome_sha256: Sha256 | None = None
    contigs: NonEmpty | None = None
    interval: Interval = "1000ba"
    chroms: list[str] | None = None
    report_chroms: list[str] | None = None
    scores: Annotated[list[str], MinLen(1)] = field(default_factory=lambda: ["LLR.minus.score"])
    window: PositiveInt | None = None
    strands: Literal["both", "forward"] = "both"
    batch_size: PositiveInt = 128
    allow_mismatch: bool = False

    def __post_init__(self) -> None:
        if self.subset and not self.dataset:
            raise ValueError(f"subset '{self.subset}' is of a dataset of TraitGym: give `dataset`")
        if "://" in self.genome and not self.genome_sha256:
            raise ValueError(f"genome '{self.genome}' is an address: give its genome_sha256, too")
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores: one is there twice: {', '.join(self.scores)}")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure besides the loss.

    Attributes:
        tables: variant tables by name; metrics of a table's first score are logged as
            `eval/NAME/METRIC`, of each of several also as `eval/NAME/SCORE/METRIC`.
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
