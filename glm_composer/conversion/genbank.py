"""GenBank flat files (plain, gzip, or a zip of them) -> contigs and transcripts.

A file that holds one record gives its contig the file's stem (`chr01.gb` -> chr01), because
accession numbers are not what splits and variant tables name; records of a longer file are named
by their accession and version. Biopython upper-cases the sequence: GenBank carries no soft mask.
"""

import gzip
import io
import itertools
import logging
import warnings
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.files import open_stream
from glm_composer.errors import UserError
from glm_composer.sequence import is_iupac

SUFFIXES = (".gb", ".gbk", ".gbff", ".genbank")
_LOG = logging.getLogger(__name__)

Segments = tuple[tuple[int, int], ...]


def read_genbank(path: str | Path) -> Iterator[tuple[Contig, list[Transcript]]]:
    """Yield each record as a contig with its transcripts, in file order (a zip's by name).

    A transcript is an mRNA feature with the CDS of the same gene that fits its exons, or a CDS
    that no mRNA accounts for. Features marked /pseudo are transcripts that do not code.

    Raises:
        UserError: naming the file and the record: missing, empty, cut or unreadable file, a zip
            without GenBank files, record without a sequence, two records of one name, a character
            outside the IUPAC nucleotide codes.
    """
    seen: set[str] = set()
    for source, stem, text in _texts(Path(path)):
        records = _parse(source, text)
        first = next(records, None)
        if first is None:
            raise UserError(f"{source}: no GenBank record in the file; is this the right file?")
        second = next(records, None)
        rest = [] if second is None else [second]
        for number, record in enumerate(itertools.chain([first], rest, records)):
            name = stem if second is None else record.id
            if name in seen:
                raise UserError(f"{source}: second record named '{name}'; rename one")
            seen.add(name)
            sequence = _sequence(source, record)
            yield (
                Contig(name, sequence),
                _transcripts(f"{source}, record {number + 1} ({record.id})", name, record),
            )


def _texts(path: Path) -> Iterator[tuple[str, str, TextIO]]:
    """Yield (name for messages, stem, text stream) of every GenBank file behind `path`."""
    if not path.name.endswith(".zip"):
        with open_stream(path) as stream:
            yield str(path), _stem(path.name), io.TextIOWrapper(stream, encoding="utf-8")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(n for n in archive.namelist() if n.endswith(SUFFIXES))
            if not members:
                raise UserError(f"{path}: no GenBank file ({', '.join(SUFFIXES)}) in the archive")
            for member in members:
                with archive.open(member) as raw:
                    text = io.TextIOWrapper(raw, encoding="utf-8")
                    yield f"{path}:{member}", _stem(Path(member).name), text
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path in the yaml") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path}: damaged or truncated archive ({error}); fetch it again"
        ) from None


def _stem(name: str) -> str:
    return name.removesuffix(".gz").rsplit(".", 1)[0]


def _parse(source: str, text: TextIO) -> Iterator[Any]:
    from Bio import BiopythonParserWarning, SeqIO

    records = SeqIO.parse(text, "genbank")
    try:
        while True:
            # Biopython only warns of a sequence that is cut or not as long as its LOCUS line says.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BiopythonParserWarning)
                for message in ("Premature end", "Expected sequence length"):
                    warnings.filterwarnings("error", message, BiopythonParserWarning)
                record = next(records, None)
            if record is None:
                return
            yield record
    except BiopythonParserWarning as error:
        raise UserError(f"{source}: truncated ({error}); fetch it again") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise UserError(f"{source}: damaged or truncated ({error}); fetch it again") from None
    except (ValueError, AssertionError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or "malformed record"
        raise UserError(f"{source}: not a readable GenBank file: {reason}") from None


def _sequence(source: str, record: Any) -> np.ndarray:
    from Bio.Seq import UndefinedSequenceError

    try:
        sequence = np.frombuffer(bytes(record.seq), dtype=np.uint8)
    except UndefinedSequenceError:
        sequence = np.empty(0, dtype=np.uint8)
    if not len(sequence):
        raise UserError(
            f"{source}: record '{record.id}' has no sequence; fetch it with its ORIGIN section"
        )
    valid = is_iupac(sequence)
    if not valid.all():
        at = int(np.argmin(valid))
        raise UserError(
            f"{source}: record '{record.id}' holds {chr(sequence[at])!r} at base {at + 1}, "
            "not an IUPAC nucleotide code; correct or remove it"
        )
    return sequence


def _transcripts(where: str, contig: str, record: Any) -> list[Transcript]:
    """Pair the mRNA features of a record with their CDS; sorted by position."""
    codings: dict[str, list[Any]] = defaultdict(list)
    messengers = []
    for feature in record.features:
        if feature.type not in ("mRNA", "CDS"):
            continue
        if feature.location is None:
            raise UserError(
                f"{where}: the location of {feature.type} '{_gene_name(feature)}' cannot be "
                "read; correct it"
            )
        segments = _segments(feature)
        if segments is None or segments[-1][1] > len(record.seq):
            _LOG.warning(
                "%s: %s at %s left out: it changes strand, crosses the origin or is out of range",
                where,
                feature.type,
                feature.location,
            )
        elif feature.type == "CDS":
            codings[_gene(feature)].append((feature, segments))
        else:
            messengers.append((feature, segments))
    transcripts = [
        _transcript(contig, feature, exons, _take_fitting(codings[_gene(feature)], exons))
        for feature, exons in messengers
    ]
    for left in codings.values():
        transcripts += [_transcript(contig, feature, cds, cds) for feature, cds in left]
    return sorted(transcripts, key=lambda t: (t.start, t.end))


def _segments(feature: Any) -> Segments | None:
    """0-based half-open segments by position; None where they are not on one strand in order."""
    parts = feature.location.parts[:: feature.location.strand or 1]
    segments = tuple((int(part.start), int(part.end)) for part in parts)
    starts = [start for start, _ in segments]
    one_strand = feature.location.strand in (1, -1)
    return segments if one_strand and starts == sorted(starts) else None


def _take_fitting(codings: list[Any], exons: Segments) -> Segments:
    """Remove and return the first CDS inside the exons; empty where there is none."""
    for index, (_, cds) in enumerate(codings):
        if all(any(s <= start and end <= e for s, e in exons) for start, end in cds):
            del codings[index]
            return cds
    return ()


def _transcript(contig: str, feature: Any, exons: Segments, cds: Segments) -> Transcript:
    gene = _gene(feature)
    coding = bool(cds) and not {"pseudo", "pseudogene"} & feature.qualifiers.keys()
    return Transcript(
        contig=contig,
        start=exons[0][0],
        end=exons[-1][1],
        strand=feature.location.strand,
        name=feature.qualifiers.get("transcript_id", [gene])[0],
        gene=gene,
        coding=coding,
        exons=exons,
        cds=cds if coding else (),
    )


def _gene(feature: Any) -> str:
    return _gene_name(feature) or f"{feature.type}@{int(feature.location.start) + 1}"


def _gene_name(feature: Any) -> str:
    for key in ("locus_tag", "gene", "protein_id"):
        if key in feature.qualifiers:
            return feature.qualifiers[key][0]
    return ""
