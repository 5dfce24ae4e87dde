"""GenBank pieces that are named by where they lie (`chr2R_23932-26830`) -> their transcripts.

AUGUSTUS cuts its training genes out like this: a record a gene with its surroundings, named by
contig, 1-based first and last position. Only the features count; the bases are the genome's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.genbank import read_genbank
from glm_composer.errors import UserError

_NAME = re.compile(r"(.+)_(\d+)-(\d+)")


def read_placed_genes(
    path: str | Path, lengths: Mapping[str, int], origin: int = 0
) -> Iterator[Transcript]:
    """Yield the transcripts of every piece, on the coordinates of their contigs.

    Args:
        path: GenBank flat file.
        lengths: contig name -> length of the genome.
        origin: position on the contig of what the names count from, where that was a piece too.

    Raises:
        UserError: as `read_genbank`; a record whose name is not of the form above, that is not as
            long as its name says, or leaves its contig.
    """
    for piece, transcripts in read_genbank(path):
        match = _NAME.fullmatch(piece.name)
        contig, first, last = match.groups() if match else ("", 0, 0)
        offset, size = origin + int(first) - 1, len(piece.sequence)
        fits = int(first) > 0 and offset + size <= lengths.get(contig, -1)
        if not fits or int(last) - int(first) + 1 != size:
            raise UserError(
                f"{path}: record '{piece.name}' of {size:,} bases does not name a "
                "place on the genome: CONTIG_FIRST-LAST, 1-based"
            )
        for transcript in transcripts:
            yield replace(
                transcript,
                contig=contig,
                start=transcript.start + offset,
                end=transcript.end + offset,
                exons=tuple((s + offset, e + offset) for s, e in transcript.exons),
                cds=tuple((s + offset, e + offset) for s, e in transcript.cds),
            )
