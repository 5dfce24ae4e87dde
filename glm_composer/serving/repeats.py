"""Variants that a table holds twice, found exactly and in memory that does not grow with it.

A single-nucleotide variant fits into 64 bits: number of the contig, position (32 bits), ref and
alt (2 bits each). These keys lie in a file, and a share of them at a time is sorted.
"""

from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.genome import Genome

# Keys compared at a time, 8 bytes each.
_AT_ONCE = 1 << 23
# Where in a key its parts begin, and what is none.
_CONTIG, _POSITION, _REF = np.uint64(36), np.uint64(4), np.uint64(2)
_NO_VARIANT = np.uint64(1 << 63)


def keys_of(
    placed: pl.DataFrame, problems: pl.Series, genome: Genome, start: int
) -> NDArray[np.uint64]:
    """A number for each row, the same for the same variant and for no other.

    Args:
        placed: n rows on the genome's contigs.
        problems: of each row; those with one have a key that is not met again.
        genome: that the others are of.
        start: number, from 0, of the first row.

    Returns:
        uint64 [n]
    """
    numbers = {name: number for number, name in enumerate(genome.lengths)}
    keys = _NO_VARIANT + np.arange(start, start + len(placed), dtype=np.uint64)
    fine = problems == ""
    rows = placed.filter(fine)
    contig = np.array([numbers[name] for name in rows["chrom"].to_list()], dtype=np.uint64)
    position = rows["pos"].to_numpy().astype(np.uint64)
    ref, alt = (
        (sequence.encode("".join(rows[column].to_list())) - sequence.FIRST_BASE).astype(np.uint64)
        for column in ("ref", "alt")
    )
    keys[fine.to_numpy()] = contig << _CONTIG | position << _POSITION | ref << _REF | alt
    return keys


def variant_of(key: int, genome: Genome) -> str:
    """The variant that a key stands for, in words."""
    contig = list(genome.lengths)[key >> int(_CONTIG)]
    position = key >> int(_POSITION) & 0xFFFFFFFF
    return f"{contig}:{position} {'ACGT'[key >> int(_REF) & 3]}>{'ACGT'[key & 3]}"


def repeated_rows(
    file: BinaryIO, rows: int, at_once: int = _AT_ONCE
) -> tuple[list[int], list[int], list[int]]:
    """Find the rows whose key an earlier one has, in their order and in bounded memory.

    Args:
        file: holds the keys, uint64, one a row.
        rows: how many.
        at_once: keys in memory at a time, about.

    Returns:
        Numbers, from 0, of those rows; of the first row with the key of each; the keys.
    """
    file.flush()
    if not rows:
        return [], [], []
    keys = np.memmap(file.name, dtype=np.uint64, mode="r")
    shares = -(-rows // at_once)
    found: list[NDArray[np.int64]] = []
    for share in range(shares):
        blocks = [
            start + np.flatnonzero(keys[start : start + at_once] % np.uint64(shares) == share)
            for start in range(0, rows, at_once)
        ]
        places = np.concatenate(blocks)
        # Stable: rows of one key stay in their order, the first of them first.
        order = places[np.argsort(keys[places], kind="stable")]
        values = keys[order]
        again = np.flatnonzero(values[1:] == values[:-1]) + 1
        firsts = order[np.searchsorted(values, values[again])]
        found.append(np.stack([order[again], firsts]))
    repeated, first = np.concatenate(found, axis=1)
    order = np.argsort(repeated)
    repeated, first = repeated[order], first[order]
    return repeated.tolist(), first.tolist(), keys[repeated].tolist()
