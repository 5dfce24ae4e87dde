"""Windows over annotated regions: what promoters, exons, UTRs and CDS have in common.

Intervals of a contig are widened by `flank`, merged, moved by `jitter`, merged again; widened to
one window where shorter; unknown bases are taken out; tiled without overlap, full windows only.
Positions outside the intervals (before the widening to one window) become lower-case: **case is
data**, and says what training should discount.

With `varying`, an interval is not widened but becomes a window of its own length, or several equal
ones where it is longer than a window may be; no base of an interval is left out but N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.randomness import generator
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.conversion.windows import (
    Intervals,
    clip,
    divide,
    expand,
    expand_evenly,
    merge,
    pad,
    subtract,
    tile,
)
from glm_composer.sequence import Bytes

# Transcripts of a contig -> intervals on it, in any order.
Finder = Callable[[Sequence[Transcript]], Intervals]


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Settings of every windowing over annotated regions.

    Attributes:
        length: bases of a window; of the longest one, with `varying`.
        varying: windows are as long as their intervals.
        flank: bases that are added on either side of an interval.
        jitter: bases by which an interval is moved at most, either way, at random.
        seed: of the jitter; each contig draws by its own name.
        minimum: bases of the shortest interval; shorter ones are left out before they are widened
            to one window, with `varying` also what is left of one between N.
        mask_outside: lower-case the positions outside the intervals.
        move_edges: move an interval that leaves the contig when widened back inside. False cuts
            it at the contig's end, as GPN does; most windows there are then lost.
    """

    length: PositiveInt = 512
    varying: bool = False
    flank: NonNegativeInt = 0
    jitter: NonNegativeInt = 0
    seed: NonNegativeInt = 0
    minimum: PositiveInt = 1
    mask_outside: bool = True
    move_edges: bool = True


def cut_regions(settings: Regions, find: Finder, less: Finder | None = None) -> Windowing:
    """Return a windowing over the intervals that `find` gives, less those that `less` gives."""

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        wanted = merge(pad(find(transcripts), settings.flank))
        if settings.jitter:
            draw = generator(settings.seed, "jitter", contig.name)
            by = draw.integers(-settings.jitter, settings.jitter, len(wanted), endpoint=True)
            wanted = merge(wanted + by[:, None])
        if less is not None:
            wanted = subtract(wanted, merge(less(transcripts)))
        # Before a piece is cut out of its contig: every piece sees the same draws.
        inside = wanted[wanted[:, 1] - wanted[:, 0] >= settings.minimum] - contig.start
        size = len(contig.sequence)
        if settings.varying:
            known = subtract(clip(inside, size), contig.runs.unknown)
            known = known[known[:, 1] - known[:, 0] >= settings.minimum]
            # Nothing lies outside of the intervals that would have to be masked.
            starts, lengths = divide(known, settings.length)
            return Cut(starts, contig.sequence, lengths)
        regions = _widen(inside, settings, size)
        starts = tile(subtract(regions, contig.runs.unknown), *[settings.length] * 2)
        if not settings.mask_outside:
            return Cut(starts, contig.sequence)
        return Cut(starts, _mask_outside(contig.sequence, clip(inside, size)))

    return cut


def _widen(inside: Intervals, settings: Regions, size: int) -> Intervals:
    if settings.move_edges:
        return merge(expand(clip(inside, size), settings.length, size))
    # GPN cuts an interval at the contig's start before it is widened, but at its end only after.
    inside = clip(inside, np.iinfo(np.int64).max)
    return clip(merge(expand_evenly(inside, settings.length)), size)


def _mask_outside(sequence: Bytes, inside: Intervals) -> Bytes:
    masked = sequence | np.uint8(0x20)
    for start, end in inside:
        masked[start:end] = sequence[start:end]
    return masked
