"""What every source yields: an assembly of contigs, its transcripts, and the files it came from.

The seam between reading and cutting: a source knows file formats and nothing of windows, a
windowing knows intervals and nothing of files. A source that carries only pieces of its contigs
(promoters cut out by somebody else, ready windows) yields one `Contig` a piece with `start` set,
so that every window still knows its place on the genome.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from glm_composer.conversion.annotation import Transcript
from glm_composer.sequence import Bytes


@dataclass(frozen=True, slots=True)
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
            pieces of a contig follow each other in order of position and do not overlap.
        transcripts: contig name -> its transcripts.
        pieces: whether `contigs` yields pieces rather than whole contigs.
    """

    name: str
    files: tuple[SourceFile, ...]
    lengths: Mapping[str, int]
    contigs: Callable[[], Iterator[Contig]]
    transcripts: Mapping[str, Sequence[Transcript]] = field(default_factory=dict)
    pieces: bool = False
