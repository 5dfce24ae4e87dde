"""Which parts of a contig its transcripts mark: promoters, exons, coding sequence, UTRs.

Intervals are int64 [n, 2], 0-based and half-open, on the plus strand, in no order; they may
overlap, and a promoter may leave the contig.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.windows import Intervals, merge, subtract


def promoters(transcripts: Sequence[Transcript], upstream: int, downstream: int) -> Intervals:
    """Return [TSS - upstream, TSS + downstream) of each transcript, along its strand.

    On the minus strand the interval mirrors: (TSS - downstream, TSS + upstream], so the TSS is
    always inside and always the first of the `downstream` bases.
    """
    tss = np.array([t.tss for t in transcripts], dtype=np.int64)
    forward = np.array([t.strand > 0 for t in transcripts], dtype=bool)
    start = np.where(forward, tss - upstream, tss - downstream + 1)
    return np.stack([start, start + upstream + downstream], axis=1)


def whole(transcripts: Sequence[Transcript]) -> Intervals:
    """Return the transcripts from end to end, introns included."""
    return _array((t.start, t.end) for t in transcripts)


def exons(transcripts: Sequence[Transcript]) -> Intervals:
    """Return every exon of every transcript."""
    return _array(segment for t in transcripts for segment in t.exons)


def cds(transcripts: Sequence[Transcript]) -> Intervals:
    """Return every coding segment of every transcript, stop codons included."""
    return _array(segment for t in transcripts for segment in t.cds)


def utrs(transcripts: Sequence[Transcript]) -> Intervals:
    """Return what exons of coding transcripts hold outside all coding segments, disjoint."""
    return subtract(merge(exons(coding(transcripts))), merge(cds(transcripts)))


def coding(transcripts: Sequence[Transcript], only: bool = True) -> list[Transcript]:
    """Return the protein-coding ones among the transcripts, or all of them."""
    return [t for t in transcripts if t.coding or not only]


BY_NAME: dict[str, Callable[[Sequence[Transcript]], Intervals]] = {
    "promoters": lambda transcripts: promoters(transcripts, 256, 256),
    "transcripts": whole,
    "exons": exons,
    "cds": cds,
    "utrs": utrs,
}


def _array(intervals: Iterable[tuple[int, int]]) -> Intervals:
    return np.array(list(intervals), dtype=np.int64).reshape(-1, 2)
