"""Upstream sequences in UCSC's naming -> the pieces of genome that they cover, each base once.

Such a file has one record a transcript: `NM_078863_up_2000_chr2L_16764737_f`, that is the length
asked for, the contig, the 1-based first position, and the strand (`r`: the record is the reverse
complement). Transcripts of one gene share their locus and neighbours overlap: half of the
bases are repeats. Here every record is laid onto the plus strand, loci are merged, and where
records overlap they must agree.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.fasta import read_fasta
from glm_composer.conversion.windows import merge
from glm_composer.errors import UserError
from glm_composer.sequence import reverse_complement

_NAME = re.compile(r"\S+_up_(\d+)_(\w+?)_(-?\d+)_([fr])")


def read_upstreams(path: str | Path) -> list[Contig]:
    """Return the merged pieces, sorted by contig and position, in upper case.

    The case of these files is no soft mask (all of it is lower), so it is dropped.

    Raises:
        UserError: as `read_fasta`; a record whose name is not of the form above; records that
            disagree about a base.
    """
    path = Path(path)
    records = defaultdict(list)
    for record in read_fasta(path):
        placed = _place(path, record)
        records[placed.name].append(placed)
    return [
        piece
        for name in sorted(records, key=_natural)
        for piece in _merge_pieces(path, name, records[name])
    ]


def _place(path: Path, record: Contig) -> Contig:
    match = _NAME.fullmatch(record.name)
    if match is None:
        raise UserError(
            f"{path}: record '{record.name}' does not name its locus: ..._up_LENGTH_CONTIG_START_f"
        )
    wanted, contig, first, strand = int(match[1]), match[2], int(match[3]), match[4]
    # A locus that would begin before its contig is cut at its left end; its name still says where
    # it would have begun, so the position follows from the right end.
    start = first - 1 + wanted - len(record.sequence)
    sequence = record.sequence if strand == "f" else reverse_complement(record.sequence)
    return Contig(contig, sequence & np.uint8(0xDF), start)


def _merge_pieces(path: Path, name: str, records: Sequence[Contig]) -> list[Contig]:
    intervals = merge(np.array([(r.start, r.end) for r in records], dtype=np.int64))
    pieces = [
        Contig(name, np.zeros(end - start, dtype=np.uint8), int(start)) for start, end in intervals
    ]
    for record in records:
        piece = pieces[int(np.searchsorted(intervals[:, 0], record.start, side="right")) - 1]
        part = piece.sequence[record.start - piece.start : record.end - piece.start]
        if not (part[part != 0] == record.sequence[part != 0]).all():
            raise UserError(
                f"{path}: records on {name}:{record.start + 1}-{record.end} disagree about a base"
            )
        part[:] = record.sequence
    return pieces


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
