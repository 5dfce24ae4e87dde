"""What every annotation format becomes: transcripts on contigs. 0-based, half-open coordinates."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transcript:
    """One transcript (or a gene, where an annotation has no transcripts).

    Coordinates are 0-based and half-open on the plus strand, whatever the strand; `exons` and
    `cds` are sorted by position, also on the minus strand.

    Attributes:
        contig: name of the contig, as in the genome.
        start: first position.
        end: one past the last position.
        strand: +1 or -1.
        name: transcript identifier.
        gene: gene identifier, shared by the transcripts of a gene.
        coding: whether it is protein-coding.
        exons: (start, end) of each exon.
        cds: (start, end) of each coding segment, stop codon included.
    """

    contig: str
    start: int
    end: int
    strand: int
    name: str
    gene: str
    coding: bool
    exons: tuple[tuple[int, int], ...] = ()
    cds: tuple[tuple[int, int], ...] = ()

    @property
    def tss(self) -> int:
        """0-based position of the first transcribed base."""
        return self.start if self.strand > 0 else self.end - 1
