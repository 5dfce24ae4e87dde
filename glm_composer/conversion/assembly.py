"""What every source yields: an assembly of contigs, its transcripts, and the files it came from.

The seam between reading and cutting: a source knows file formats and nothing of windows, a
windowing knows intervals and nothing of files. A source that carries only pieces of its contigs
(promoters cut out by somebody else) yields one `Contig` a piece with `start` set, so that every
window still knows its place on the genome. A source of ready windows (a Hub dataset) yields a
`WindowFile` a file instead, and no windowing is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.windows import LetterRuns, find_letter_runs
from glm_composer.sequence import Bytes


@dataclass(frozen=True)
class Contig:
    """A contig, or a piece of one.

    Attributes:
        name: the contig's name.
        sequence: uint8 ASCII [length], case kept (lower case = soft-masked).
        start: 0-based position on the contig of the sequence's first base.
    """

    name: str
    sequence: Bytes
    start: int = 0

    @property
    def end(self) -> int:
        """One past the last position, on the contig."""
        return self.start + len(self.sequence)

    @cached_property
    def runs(self) -> LetterRuns:
        """Its soft-masked and unknown stretches, looked for once."""
        return find_letter_runs(self.sequence)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Provenance of one input file; `package`, `version` and `licence` where they are known."""

    file: str
    sha256: str
    bytes: int
    package: str | None = None
    version: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Assembly:
    """One genome on its way into windows.

    Attributes:
        name: the assembly's name, which qualifies its contigs in the manifest.
        files: where it came from.
        lengths: contig name -> length in bases, in genome order. For a source of pieces, one past
            the last position that a piece covers.
        contigs: returns a fresh iterator over the contigs, in the order of `lengths`; the
            pieces of a contig follow each other in order of position and do not overlap. To be
            read by several processes it must be picklable: a `partial` of a module's function,
            not a lambda.
        transcripts: contig name -> its transcripts.
        pieces: whether `contigs` yields pieces rather than whole contigs.
        species: which species it is of; the assembly's name where not given. Caps count by it.
        weight: share of its windows that is kept in the training splits, in (0, 1].
        only: returns the like of `contigs` for some contigs, in order of `lengths`, that does not
            read through the others; None where the source has to be read from the beginning.
        split: split of all its contigs; None where `splits` decides.
    """

    name: str
    files: tuple[SourceFile, ...]
    lengths: Mapping[str, int]
    contigs: Callable[[], Iterator[Contig]]
    transcripts: Mapping[str, Sequence[Transcript]] = field(default_factory=dict)
    pieces: bool = False
    species: str | None = None
    weight: float = 1.0
    only: Callable[[Sequence[str]], Callable[[], Iterator[Contig]]] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """Ready windows, a batch at a time.

    Attributes:
        sequence: uint8 ASCII [n, length], case kept (lower case = soft-masked).
        contig: names of their contigs [n].
        start: int64 [n], 0-based on the plus strand.
        strand: int8 [n], +1 or -1.
        lengths: int64 [n], how many letters of each are real, before zeros; None for all.
    """

    sequence: Bytes
    contig: Sequence[str]
    start: NDArray[np.int64]
    strand: NDArray[np.int8]
    lengths: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class WindowFile:
    """One file of ready windows.

    Attributes:
        assembly: name of what the windows were cut from; it qualifies their contigs.
        file: where they came from.
        split: split they belong to; None where `splits` decides by contig.
        batches: returns a fresh iterator over its windows, in file order: all as long as the
            first one, or, where a number is given, each of at most so many bases.
    """

    assembly: str
    file: SourceFile
    split: str | None
    batches: Callable[[int | None], Iterator[Windows]]
