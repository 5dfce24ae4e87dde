"""A labelled variant table, read and checked once, scored as often as asked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.scores import Predict, Strands, llr
from glm_composer.evaluation.variants import allele_ids, check_reference, read_variants
from glm_composer.genome import Genome
from glm_composer.sequence import Bytes


@dataclass(frozen=True, eq=False)
class VariantWindows:
    """Variants with the windows around them.

    Attributes:
        table: n rows with TraitGym's columns.
        windows: ASCII uint8 [n, width]; the variant is at width // 2.
        ref: uint8 ids [n].
        alt: uint8 ids [n].
    """

    table: pl.DataFrame
    windows: Bytes
    ref: Bytes
    alt: Bytes

    def __len__(self) -> int:
        return len(self.table)

    def take(self, keep: NDArray[np.bool_]) -> "VariantWindows":
        """The rows where `keep` [n] is true."""
        return VariantWindows(
            self.table.filter(pl.Series(keep)), self.windows[keep], self.ref[keep], self.alt[keep]
        )

    def on(self, chroms: list[str] | None) -> NDArray[np.bool_]:
        """Which rows lie on these chromosomes, bool [n]; all of them for None."""
        if chroms is None:
            return np.ones(len(self), dtype=bool)
        return self.table["chrom"].is_in(chroms).to_numpy()

    def llr(self, predict: Predict, strands: Strands, batch_size: int) -> NDArray[np.float32]:
        """Score every variant, see `scores.llr`: float32 [n]."""
        return llr(
            predict, self.windows, self.ref, self.alt, strands=strands, batch_size=batch_size
        )


def load_variant_windows(
    variants: str | Path, genome: str | Path, width: int, allow_mismatch: bool = False
) -> VariantWindows:
    """Read a variant table, check it against its genome and cut the windows.

    Args:
        variants: Parquet or TSV file with TraitGym's columns.
        genome: indexed FASTA.
        width: bases a window.
        allow_mismatch: leave out variants that do not fit the genome instead of refusing.

    Raises:
        UserError: the file, row and value that is wrong.
    """
    table = read_variants(variants)
    with Genome(genome) as bases:
        fits = check_reference(table, bases, source=variants, allow_mismatch=allow_mismatch)
        table = table.filter(pl.Series(fits))
        positions = table["pos"].to_numpy() - 1
        windows = bases.windows(table["chrom"].to_list(), positions, width)
    return VariantWindows(table, windows, *allele_ids(table))


def check_rankable(
    variants: VariantWindows, chroms: list[str] | None, source: str | Path, key: str
) -> None:
    """Check that metrics can be computed of the variants on some chromosomes.

    Args:
        variants: the whole table.
        chroms: names, or None for all.
        source: the table's file, for the message.
        key: the setting that `chroms` comes from, for the message.

    Raises:
        UserError: no labels, a chromosome without variants, or labels that are all alike.
    """
    table = variants.table
    if "label" not in table.columns:
        raise UserError(f"{source}: no column 'label' (0/1); metrics need it")
    present = table["chrom"].unique(maintain_order=True).to_list()
    absent = [name for name in chroms or [] if name not in present]
    if absent:
        raise UserError(
            f"{key}: {source} has no variants on '{absent[0]}'; it has {', '.join(present)}"
        )
    labels = table["label"].filter(pl.Series(variants.on(chroms)))
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise UserError(
            f"{key}: {source} has {positives} positives among its {len(labels)} variants there; "
            "ranking needs at least one positive and one control"
        )
