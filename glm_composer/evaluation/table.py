"""A labelled variant table, read and checked once, scored as often as asked."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.variants import allele_ids, check_reference
from glm_composer.evaluation.window_cache import Cut
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
        genome_sha256: of the FASTA the windows were cut from, as hexadecimal digits.
    """

    table: pl.DataFrame
    windows: Bytes
    ref: Bytes
    alt: Bytes
    genome_sha256: str = "unknown"

    def __len__(self) -> int:
        return len(self.table)

    def take(self, keep: NDArray[np.bool_]) -> "VariantWindows":
        """The rows where `keep` [n] is true."""
        return dataclasses.replace(
            self,
            table=self.table.filter(pl.Series(keep)),
            windows=self.windows[keep],
            ref=self.ref[keep],
            alt=self.alt[keep],
        )

    def on(self, chroms: list[str] | None) -> NDArray[np.bool_]:
        """Which rows lie on these chromosomes, bool [n]; all of them for None."""
        if chroms is None:
            return np.ones(len(self), dtype=bool)
        return self.table["chrom"].is_in(chroms).to_numpy()

    def blocks(self, sites: int) -> list[NDArray[np.intp]]:
        """Rows in blocks of up to `sites` sites, by position; a site's alts stay together.

        Together they hold every row once, and depend on the table alone.
        """
        places = self.table.select("chrom", "pos").with_row_index("row")
        # Ranks unpack each other's blocks by an order of their own making.
        ordered = places.sort("chrom", "pos", maintain_order=True)
        new = ordered.select(pl.struct("chrom", "pos").is_first_distinct()).to_series()
        site = np.cumsum(new.to_numpy()) - 1
        borders = np.flatnonzero(np.diff(site // sites)) + 1
        rows = ordered["row"].to_numpy().astype(np.intp)
        return np.split(rows, borders) if len(rows) else []


def cut_windows(
    table: pl.DataFrame,
    genome: Genome,
    width: int,
    *,
    source: str | Path = "variant table",
    allow_mismatch: bool = False,
) -> Cut:
    """Check variants against their genome and cut the windows around them.

    Args:
        table: what `read_variants` returns; `chrom` as the genome calls it.
        genome: of the variants' assembly.
        width: bases a window; the variant is at width // 2.
        source: the table's name, for the message.
        allow_mismatch: leave out variants that do not fit the genome instead of refusing.

    Raises:
        UserError: rows that do not fit, unless allowed.
    """
    fits = check_reference(table, genome, source=source, allow_mismatch=allow_mismatch)
    fitting = table.filter(pl.Series(fits))
    positions = fitting["pos"].to_numpy() - 1
    return Cut(fits, genome.windows(fitting["chrom"].to_list(), positions, width))


def with_windows(table: pl.DataFrame, cut: Cut, genome_sha256: str = "unknown") -> VariantWindows:
    """The rows of a table that have a window, and these."""
    rows = table.filter(pl.Series(cut.fits))
    return VariantWindows(rows, cut.windows, *allele_ids(rows), genome_sha256)


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
