"""What a dataset is made of: bases, case and GC of its windows, by split, species, assembly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data_tools.progress import windows_bar
from glm_composer.data_tools.rows import Advance, Split, lengths_of, open_splits
from glm_composer.sequence import A, C, G, T, encode, is_soft_masked

# Steps of the distributions over windows, from 0 to 100%.
BINS = 50


@dataclass(frozen=True, kw_only=True)
class GroupStats:
    """Counts over the windows of one split, or of one species or assembly in it.

    Attributes:
        split: name of the split.
        species: name of the species, the assembly's where none was given; None for all.
        assembly: name of the assembly; None for all.
        contigs: how many contigs the windows lie on.
        windows: how many there are.
        bases: of all windows together.
        a: bases that are A, in any case.
        c: the same of C.
        g: the same of G.
        t: the same of T.
        unknown: N and other IUPAC codes.
        soft_masked: lower-case letters.
        masked_windows: windows that are lower-case throughout.
        minus_windows: windows on the minus strand.
    """

    split: str
    species: str | None
    assembly: str | None
    contigs: int
    windows: int
    bases: int
    a: int
    c: int
    g: int
    t: int
    unknown: int
    soft_masked: int
    masked_windows: int
    minus_windows: int

    @property
    def gc(self) -> float:
        """Share of G and C among known bases; NaN where there are none."""
        known = self.bases - self.unknown
        return (self.g + self.c) / known if known else float("nan")


@dataclass(frozen=True, kw_only=True)
class Distributions:
    """How windows of a split are spread; int [BINS + 1] each, windows nearest to 0, 2, ... 100%.

    Attributes:
        split: its name.
        gc: by share of G and C among known bases; windows without any are left out.
        soft_masked: by share of lower-case letters.
        unknown: by share of N and other IUPAC codes.
        length: by length, as a share of `Stats.window_length`.
    """

    split: str
    gc: list[int]
    soft_masked: list[int]
    unknown: list[int]
    length: list[int]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The whole of it.

    Attributes:
        dataset: its name.
        created: when it was made, as its manifest says.
        window_length: bases of every window, of the longest there may be where lengths vary.
        splits: one a split, in the manifest's order.
        species: one a split and species that has windows in it.
        assemblies: one a split and assembly that has windows in it.
        distributions: one a split.
    """

    dataset: str
    created: str
    window_length: int
    splits: list[GroupStats]
    species: list[GroupStats]
    assemblies: list[GroupStats]
    distributions: list[Distributions]

    @property
    def varies(self) -> bool:
        """Whether some windows are shorter than others may be."""
        return any(each.bases < each.windows * self.window_length for each in self.splits)

    @property
    def lengths(self) -> str:
        """How long windows are, in words."""
        if not self.varies:
            return f"{self.window_length:,} bases"
        mean = sum(each.bases for each in self.splits) / sum(each.windows for each in self.splits)
        return f"up to {self.window_length:,} bases, {mean:,.1f} on average"


def count(directory: Path) -> Stats:
    """Count a dataset's windows, a block at a time.

    Raises:
        UserError: there is no dataset, or its manifest, an index or a shard cannot be read.
    """
    splits = open_splits(directory)
    manifest = next(iter(splits.values())).manifest
    assembly_of = [contig.assembly for contig in manifest.contigs]
    species_of = [contig.species or contig.assembly for contig in manifest.contigs]
    totals, species, assemblies, distributions = [], [], [], []
    with windows_bar("counting", sum(len(split.shards) for split in splits.values())) as advance:
        for split in splits.values():
            by_contig, spread = _count_split(split, advance)
            totals += _groups(split, by_contig, [(None, None)] * len(by_contig))
            species += _groups(split, by_contig, [(name, None) for name in species_of])
            assemblies += _groups(
                split, by_contig, list(zip(species_of, assembly_of, strict=True))
            )
            distributions.append(spread)
    return Stats(
        dataset=manifest.name,
        created=manifest.created,
        window_length=manifest.window_length,
        splits=totals,
        species=species,
        assemblies=assemblies,
        distributions=distributions,
    )


def _count_split(split: Split, advance: Advance) -> tuple[NDArray[np.int64], Distributions]:
    """Return counts by contig, int64 [contigs, 10] in the order of `GroupStats`' last ten."""
    by_contig = np.zeros((len(split.manifest.contigs), 10), dtype=np.int64)
    spread = np.zeros((4, BINS + 1), dtype=np.int64)
    for rows in split.blocks(advance=advance):
        counts = _count_rows(rows)
        np.add.at(by_contig, rows["contig"].astype(np.int64), counts)
        _, length, _, c, g, _, unknown, soft_masked, *_ = counts.T
        known, whole = length - unknown, np.maximum(length, 1)
        gc = (c + g)[known > 0] / known[known > 0]
        of_longest = length / split.manifest.window_length
        for line, shares in enumerate((gc, soft_masked / whole, unknown / whole, of_longest)):
            spread[line] += np.bincount(np.rint(shares * BINS).astype(int), minlength=BINS + 1)
    gc_bins, soft_bins, unknown_bins, length_bins = spread.tolist()
    return by_contig, Distributions(
        split=split.name,
        gc=gc_bins,
        soft_masked=soft_bins,
        unknown=unknown_bins,
        length=length_bins,
    )


def _count_rows(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Counts of each window: 1, its bases, A, C, G, T, N, lower case, all lower case, minus."""
    sequence, length = rows["sequence"], lengths_of(rows)
    ids = encode(sequence)
    bases = [np.count_nonzero(ids == base, axis=1) for base in (A, C, G, T)]
    soft_masked = np.count_nonzero(is_soft_masked(sequence), axis=1)
    one = np.ones(len(rows), dtype=np.int64)
    unknown = length - sum(bases)
    minus = rows["strand"] < 0
    columns = [one, length, *bases, unknown, soft_masked, soft_masked == length, minus]
    return np.stack(columns, axis=1).astype(np.int64)


def _groups(
    split: Split, by_contig: NDArray[np.int64], names: Sequence[tuple[str | None, str | None]]
) -> list[GroupStats]:
    """Add up counts of contigs [contigs, 10] by species and assembly, in order of appearance."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    group_of = np.array([places[name] for name in names], dtype=np.int64)
    sums = np.zeros((len(places), by_contig.shape[1]), dtype=np.int64)
    np.add.at(sums, group_of, by_contig)
    contigs = np.bincount(group_of[by_contig[:, 0] > 0], minlength=len(places))
    return [
        _group(split, name, int(count), total)
        for name, count, total in zip(places, contigs, sums.tolist(), strict=True)
        if count
    ]


def _group(
    split: Split, name: tuple[str | None, str | None], contigs: int, counts: list[int]
) -> GroupStats:
    windows, bases, a, c, g, t, unknown, soft_masked, masked, minus = counts
    return GroupStats(
        split=split.name,
        species=name[0],
        assembly=name[1],
        contigs=contigs,
        windows=windows,
        bases=bases,
        a=a,
        c=c,
        g=g,
        t=t,
        unknown=unknown,
        soft_masked=soft_masked,
        masked_windows=masked,
        minus_windows=minus,
    )
