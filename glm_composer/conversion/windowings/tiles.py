"""Tiles: windows at a fixed stride over whole contigs, case as the genome has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.conversion.windows import Intervals, count_inside, find_runs, tile
from glm_composer.errors import UserError
from glm_composer.registry import windowings
from glm_composer.sequence import UNK, Bytes, encode


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Settings of `tiles`.

    Attributes:
        length: window length in bases.
        stride: bases from one window's start to the next: one number, or one for each split (a
            smaller one than `length` makes windows overlap, for more phases in training).
        max_unknown: largest share of N and other IUPAC codes in a window that is kept.
    """

    name: str = "tiles"
    length: PositiveInt = 512
    stride: PositiveInt | dict[str, PositiveInt] = 512
    max_unknown: Annotated[float, Field(ge=0, le=1)] = 0.0


@windowings.register("tiles")
def tiles(settings: Tiles, splits: Sequence[str]) -> Windowing:
    """Return a windowing that tiles every contig from its first base; only full windows."""
    strides = _strides(settings, splits)

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        whole = np.array([[0, len(contig.sequence)]], dtype=np.int64)
        starts = tile(whole, settings.length, strides[split])
        unknown = count_inside(_unknown_runs(contig.sequence), starts, settings.length)
        return Cut(starts[unknown <= settings.max_unknown * settings.length], contig.sequence)

    return cut


def _strides(settings: Tiles, splits: Sequence[str]) -> dict[str, int]:
    if isinstance(settings.stride, int):
        return dict.fromkeys(splits, settings.stride)
    if set(settings.stride) != set(splits):
        raise UserError(
            f"'windows.stride' names {', '.join(settings.stride)}, but the splits are "
            f"{', '.join(splits)}; give one number, or one for each split"
        )
    return settings.stride


def _unknown_runs(sequence: Bytes) -> Intervals:
    return find_runs(encode(sequence) == UNK)
