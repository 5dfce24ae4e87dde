"""Promoters: the recipe of GPN-Animal-Promoter (songlab-cal/gpn, analysis/gpn_animal_promoter).

[TSS - upstream, TSS + downstream) of every transcript, along its strand; merged; widened to one
window where shorter; runs of N taken out; tiled without overlap, full windows only. Positions
outside the promoter intervals become lower-case: **case is data**, and says what training should
discount.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.conversion.windows import Intervals, expand, find_runs, merge, subtract, tile
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Promoters:
    """Settings of `promoters`.

    Attributes:
        length: window length in bases.
        upstream: bases before the transcription start site (TSS).
        downstream: bases from the TSS on, the TSS itself included.
        coding_only: take protein-coding transcripts only.
    """

    name: str = "promoters"
    length: PositiveInt = 512
    upstream: NonNegativeInt = 256
    downstream: NonNegativeInt = 256
    coding_only: bool = True

    def __post_init__(self) -> None:
        if self.upstream + self.downstream == 0:
            raise ValueError("'upstream' and 'downstream' are both 0; a promoter needs a width")


@windowings.register("promoters")
def promoters(settings: Promoters, splits: Sequence[str]) -> Windowing:
    """Return a windowing that cuts promoter windows and lower-cases what lies around them."""

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        size = len(contig.sequence)
        chosen = [t for t in transcripts if t.coding or not settings.coding_only]
        wanted = promoter_intervals(chosen, settings.upstream, settings.downstream)
        wanted = np.clip(wanted - contig.start, 0, size)
        inside = merge(wanted[wanted[:, 0] < wanted[:, 1]])
        regions = merge(expand(inside, settings.length, size))
        gaps = find_runs((contig.sequence | 0x20) == ord("n"))
        starts = tile(subtract(regions, gaps), settings.length, settings.length)
        outside = subtract(np.array([[0, size]], dtype=np.int64), inside)
        sequence = contig.sequence.copy()
        for start, end in outside:
            sequence[start:end] |= 0x20
        return Cut(starts, sequence)

    return cut


def promoter_intervals(
    transcripts: Sequence[Transcript], upstream: int, downstream: int
) -> Intervals:
    """Return [TSS - upstream, TSS + downstream) of each transcript, along its strand.

    0-based half-open plus-strand coordinates, int64 [n, 2]; they may leave the contig. On the
    minus strand the interval mirrors: (TSS - downstream, TSS + upstream], so the TSS is always
    inside and always the first of the `downstream` bases.
    """
    tss = np.array([t.tss for t in transcripts], dtype=np.int64)
    forward = np.array([t.strand > 0 for t in transcripts], dtype=bool)
    start = np.where(forward, tss - upstream, tss - downstream + 1)
    return np.stack([start, start + upstream + downstream], axis=1)
