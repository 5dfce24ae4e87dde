"""Tiles: windows at a fixed stride over whole contigs, case as the genome has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.randomness import generator
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.conversion.windows import count_inside, tile
from glm_composer.errors import UserError
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Settings of `tiles`.

    Attributes:
        length: bases of a window.
        stride: bases from one window's start to the next: one number, or one for each split (a
            smaller one than `length` makes windows overlap, for more phases in training).
        jitter: bases by which a window is moved at most, either way, at random; it stays inside
            the contig.
        seed: of the jitter; each contig draws by its own name.
        max_unknown: share of N and other IUPAC codes in a window up to which it is kept.
    """

    name: str = "tiles"
    length: PositiveInt = 512
    stride: PositiveInt | dict[str, PositiveInt] = 512
    jitter: NonNegativeInt = 0
    seed: NonNegativeInt = 0
    max_unknown: Annotated[float, Field(ge=0, le=1)] = 0.0


@windowings.register("tiles")
def tiles(settings: Tiles, splits: Sequence[str]) -> Windowing:
    """Return a windowing that tiles every contig from its first base; only full windows."""
    strides = _strides(settings, splits)

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        whole = np.array([[0, len(contig.sequence)]], dtype=np.int64)
        starts = tile(whole, settings.length, strides[split])
        if settings.jitter:
            draw = generator(settings.seed, f"jitter {contig.start}", contig.name)
            by = draw.integers(-settings.jitter, settings.jitter, len(starts), endpoint=True)
            starts = np.sort(np.clip(starts + by, 0, len(contig.sequence) - settings.length))
        unknown = count_inside(contig.runs.unknown, starts, settings.length)
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
