"""Variants' windows as a model reads them: ids on either strand, each distinct one once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.evaluation.scores.readings import Indices, Strands
from glm_composer.sequence import Bytes


@dataclass(frozen=True, eq=False)
class Variants:
    """Single-nucleotide variants in windows, on one strand.

    Attributes:
        ids: uint8 [n, width].
        ref: ids of the reference alleles, uint8 [n].
        alt: ids of the alternative alleles, uint8 [n].
        position: where in the windows the variants lie, 0-based.
    """

    ids: Bytes
    ref: Bytes
    alt: Bytes
    position: int

    def reverse_complement(self) -> "Variants":
        """The same variants on the other strand."""
        complement = sequence.reverse_complement_ids
        return Variants(
            complement(self.ids),
            complement(self.ref[:, None])[:, 0],
            complement(self.alt[:, None])[:, 0],
            self.ids.shape[1] - 1 - self.position,
        )

    def with_base(self, base: Bytes | int) -> Bytes:
        """Windows with `base`, one for all or [n], at the variants' position: uint8 [n, width]."""
        ids = self.ids.copy()
        ids[:, self.position] = base
        return ids


def read_windows(windows: Bytes, ref: Bytes, alt: Bytes) -> Variants:
    """Variants at the centre, width // 2, of ASCII windows.

    Args:
        windows: ASCII uint8 [n, width], as `Genome.windows` cuts them.
        ref: ids of the reference alleles, uint8 [n].
        alt: ids of the alternative alleles, uint8 [n].

    Raises:
        ValueError: shapes do not fit, or an allele is none of a, c, g, t.
    """
    if windows.ndim != 2 or not ref.shape == alt.shape == windows.shape[:1]:
        raise ValueError(
            f"expected windows [n, width], ref [n] and alt [n], not {windows.shape}, {ref.shape} "
            f"and {alt.shape}"
        )
    for name, base in (("ref", ref), ("alt", alt)):
        if ((base < sequence.A) | (base > sequence.T)).any():
            raise ValueError(f"{name} must hold the ids of a, c, g, t, not of other tokens")
    return Variants(sequence.encode(windows), ref, alt, windows.shape[1] // 2)


def on_strands(variants: Variants, strands: Strands) -> list[Variants]:
    """The forward strand alone, or both.

    Raises:
        ValueError: another word for strands.
    """
    if strands == "forward":
        return [variants]
    if strands == "both":
        return [variants, variants.reverse_complement()]
    raise ValueError(f"strands must be 'both' or 'forward', not {strands!r}")


def distinct_rows(ids: Bytes) -> tuple[Indices, Indices]:
    """Rows [m] to keep, in their order, and for every row [n] which of the kept ones equals it."""
    if not ids.size:
        rows = np.arange(len(ids))
        return rows, rows
    # A row as one value, compared byte by byte.
    values = np.ascontiguousarray(ids).view(np.dtype((np.void, ids.shape[1])))[:, 0]
    _, first, of_row = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[of_row]


def bases(ids: Bytes) -> NDArray[np.intp]:
    """Which of a, c, g, t ids [n] are, 0 to 3."""
    return ids.astype(np.intp) - sequence.FIRST_BASE
