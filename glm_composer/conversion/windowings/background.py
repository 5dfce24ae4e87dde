"""Background: random windows that touch no annotated feature and no unknown base.

The free stretches of a contig are tiled without overlap, each from a random offset, and a random
share of the tiles is kept. What is drawn depends on the seed and the contig's name alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from glm_composer.conversion import features
from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.randomness import generator
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.conversion.windows import merge, pad, subtract, tile
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Background:
    """Settings of `background`.

    Attributes:
        length: bases of a window.
        avoid: features of any transcript that no window may touch; `promoters` are
            [TSS - 256, TSS + 256).
        flank: bases around them that no window may touch either.
        share: of the windows that fit into what is free.
        seed: of the choice.
    """

    name: str = "background"
    length: PositiveInt = 512
    avoid: list[Literal["promoters", "transcripts", "exons", "cds", "utrs"]] = field(
        default_factory=lambda: ["promoters", "exons"]
    )
    flank: NonNegativeInt = 0
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    seed: NonNegativeInt = 0


@windowings.register("background")
def background(settings: Background, splits: Sequence[str]) -> Windowing:
    """Return a windowing that draws windows at random; case as the genome has it."""

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        draw = generator(settings.seed, f"background {contig.start}", contig.name)
        whole = np.array([[0, len(contig.sequence)]], dtype=np.int64)
        held = [features.BY_NAME[name](transcripts) for name in settings.avoid]
        taken = pad(np.concatenate([*held, np.empty((0, 2), np.int64)]), settings.flank)
        holes = np.concatenate([taken - contig.start, contig.runs.unknown])
        free = subtract(whole, merge(holes[holes[:, 0] < holes[:, 1]]))
        room = free[:, 1] - free[:, 0] - settings.length
        free, room = free[room >= 0], room[room >= 0]
        free[:, 0] += draw.integers(0, np.minimum(room, settings.length - 1), endpoint=True)
        starts = tile(free, settings.length, settings.length)
        kept = draw.permutation(len(starts))[: round(settings.share * len(starts))]
        return Cut(starts[np.sort(kept)], contig.sequence)

    return cut
