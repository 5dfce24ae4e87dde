"""How a contig becomes windows: one module a recipe, each registered under the name a yaml uses.

A builder takes its settings (a dataclass with a `name` and a `length`) and the names of the
splits, checks them, and returns a `Windowing`. Adding a recipe is adding a module here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.windows import Positions
from glm_composer.sequence import Bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to cut windows out of a contig or piece.

    Attributes:
        starts: int64 [n], 0-based offsets into `sequence` (not contig positions, where a piece
            begins elsewhere), sorted.
        sequence: uint8 ASCII [length] to cut from: the contig's own, or a copy with another mask.
        lengths: int64 [n] of the windows, at most the settings' `length`; None where all have it.
    """

    starts: Positions
    sequence: Bytes
    lengths: NDArray[np.int64] | None = None


# (contig, its transcripts, name of its split) -> where to cut.
Windowing = Callable[[Contig, Sequence[Transcript], str], Cut]
