"""GFF3 and GTF -> transcripts. Both are 1-based and closed; transcripts are 0-based and half-open.

The formats differ in how rows refer to each other (ID/Parent against gene_id/transcript_id) and in
the stop codon: GFF3's CDS holds it, GTF's CDS stops before it, so `stop_codon` rows are joined to
the CDS. Everything behind that is shared. A gene without transcripts stands for one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.annotation_rows import Row, RowChecker
from glm_composer.conversion.files import numbered_lines
from glm_composer.conversion.windows import merge

_GTF_ATTRIBUTE = re.compile(r'([^\s;"]+)\s+(?:"([^"]*)"|([^\s;"]+))')
# Row type -> what it adds to its transcript.
_PARTS = {
    "exon": "exons",
    "CDS": "cds",
    "stop_codon": "stops",
    **dict.fromkeys(("five_prime_UTR", "three_prime_UTR", "5UTR", "3UTR", "UTR"), "utrs"),
}
Segments = tuple[tuple[int, int], ...]
# The transcript's own comes before its gene's: a coding gene has transcripts that do not code.
_BIOTYPES = ("transcript_biotype", "transcript_type", "biotype", "gene_biotype", "gene_type")
_CODING_BIOTYPES = ("protein_coding", "mRNA")


@dataclass(slots=True)
class _Draft:
    """A transcript or gene while its rows are still coming in."""

    row: Row | None = None
    gene: str = ""
    coding: bool | None = None
    exons: list[Row] = field(default_factory=list)
    cds: list[Row] = field(default_factory=list)
    stops: list[Row] = field(default_factory=list)
    utrs: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        getattr(self, _PARTS[row.kind]).append(row)

    @property
    def parts(self) -> list[Row]:
        return self.exons + self.cds + self.stops + self.utrs


def read_gff3(
    path: str | Path, lengths: Mapping[str, int], allow_missing_contigs: bool = False
) -> list[Transcript]:
    """Read a GFF3 file, plain or gzip; a `##FASTA` section ends it.

    A transcript is a feature with exon, CDS or UTR children, or of a type such as mRNA, transcript
    or ncRNA. Its biotype says whether it codes; without one, whether it has a CDS. Without exon
    rows, its CDS and UTRs make its exons.

    Args:
        path: the file.
        lengths: contig name -> length of the genome.
        allow_missing_contigs: leave out rows on contigs that the genome lacks.

    Raises:
        UserError: naming the file and the line of a row that cannot be right.
    """
    checker = RowChecker(Path(path), lengths, allow_missing_contigs)
    features: dict[str, _Draft] = {}
    parents: dict[str, str] = {}
    parts: list[tuple[Row, list[str]]] = []
    for row in _rows(checker):
        if "=" not in row.attributes and row.attributes.strip() not in ("", "."):
            raise checker.error(
                row.line,
                f"attributes '{row.attributes[:40]}' are not GFF3's key=value; if they are GTF's, "
                "name the file .gtf",
            )
        about = _gff3_attributes(row.attributes)
        above = about["Parent"].split(",") if "Parent" in about else []
        if row.kind in _PARTS:
            parts.append((row, above or [about.get("ID", f"line {row.line}")]))
        elif "ID" in about or _is_known(row.kind):
            name = about.get("ID", f"line {row.line}")
            if name in features and _is_known(row.kind):
                raise checker.error(
                    row.line, f"second {row.kind} with ID '{name}'; IDs are unique"
                )
            features[name] = _Draft(row, coding=_says_coding(about))
            if above:
                parents[name] = above[0]
    for row, above in parts:
        for name in above:
            features.setdefault(name, _Draft()).add(row)
    for name, draft in features.items():
        draft.gene = parents.get(name, name)
    return _finish(
        checker,
        {n: d for n, d in features.items() if not d.row or d.parts or _is_known(d.row.kind)},
    )


def read_gtf(
    path: str | Path, lengths: Mapping[str, int], allow_missing_contigs: bool = False
) -> list[Transcript]:
    """Read a GTF file (GFF2), plain or gzip; transcript and gene rows are optional.

    Arguments, result and errors as `read_gff3`.
    """
    checker = RowChecker(Path(path), lengths, allow_missing_contigs)
    features: dict[str, _Draft] = {}
    for row in _rows(checker):
        if row.kind not in _PARTS and row.kind not in ("gene", "transcript"):
            continue
        about = {m[1]: m[2] or m[3] or "" for m in _GTF_ATTRIBUTE.finditer(row.attributes)}
        key = "gene_id" if row.kind == "gene" else "transcript_id"
        bare = not about and row.kind not in _PARTS
        if bare:
            # AUGUSTUS writes the bare identifier; a transcript's gene is named by its exons.
            about = {key: row.attributes.strip(), "gene_id": row.attributes.strip()}
        name, gene = about.get(key), about.get("gene_id")
        if not name or not gene:
            raise checker.error(row.line, f"a {row.kind} row without gene_id and {key}")
        # A gene may share its identifier with its transcript (yeast in Ensembl does).
        draft = features.setdefault(f"{key} {name}", _Draft())
        if not bare or not draft.gene:
            draft.gene = f"gene_id {gene}"
        if draft.coding is None:
            draft.coding = _says_coding(about)
        if row.kind in _PARTS:
            draft.add(row)
        elif draft.row is not None:
            raise checker.error(
                row.line, f"second {row.kind} row of '{name}'; identifiers are unique"
            )
        else:
            draft.row = row
    return _finish(checker, features)


def _rows(checker: RowChecker) -> Iterator[Row]:
    for line, text in numbered_lines(checker.path):
        if text.startswith("##FASTA"):
            return
        if not text.strip() or text.startswith("#"):
            continue
        columns = text.split("\t")
        if len(columns) != 9:
            raise checker.error(line, f"{len(columns)} tab-separated columns instead of 9")
        contig, _, kind, start, end, _, strand, _, attributes = columns
        row = checker.row(
            line, contig, kind, start, end, strand, first_base=1, attributes=attributes
        )
        if row is not None:
            yield row


def _gff3_attributes(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(";") if pair.strip())
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs}


def _is_known(kind: str) -> bool:
    """Whether a type is that of a gene or a transcript even without exon or CDS children."""
    return kind.endswith(("gene", "RNA", "transcript"))


def _says_coding(about: Mapping[str, str]) -> bool | None:
    said = next((about[key] for key in _BIOTYPES if key in about), None)
    return None if said is None else said in _CODING_BIOTYPES


def _finish(checker: RowChecker, features: Mapping[str, _Draft]) -> list[Transcript]:
    """Turn drafts into transcripts, sorted by contig (genome order) and position."""
    with_transcripts = {draft.gene for name, draft in features.items() if draft.gene != name}
    transcripts = [
        _transcript(checker, name, draft)
        for name, draft in features.items()
        if name not in with_transcripts
    ]
    checker.finish(len(transcripts))
    order = {name: index for index, name in enumerate(checker.lengths)}
    return sorted(transcripts, key=lambda t: (order[t.contig], t.start, t.end))


def _transcript(checker: RowChecker, name: str, draft: _Draft) -> Transcript:
    rows = [draft.row] if draft.row is not None else draft.parts
    first = checker.need_strand(rows[0])
    for part in [*rows, *draft.parts]:
        if (part.contig, part.strand) != (first.contig, first.strand):
            raise checker.error(
                part.line,
                f"{part.kind} of '{name}' lies on another contig or strand than line {first.line}",
            )
    start, end = min(row.start for row in rows), max(row.end for row in rows)
    for part in draft.parts:
        if not start <= part.start < part.end <= end:
            raise checker.error(
                part.line, f"{part.kind} leaves its transcript '{name}' (line {first.line})"
            )
    exons, cds = _segments(draft.exons), _join_stop(_segments(draft.cds), _segments(draft.stops))
    if draft.utrs and not exons:
        joined = merge(np.array([*cds, *_segments(draft.utrs)], dtype=np.int64))
        exons = tuple((int(begin), int(stop)) for begin, stop in joined)
    return Transcript(
        contig=first.contig,
        start=start,
        end=end,
        strand=first.strand,
        name=name.removeprefix("transcript_id ").removeprefix("gene_id "),
        gene=draft.gene.removeprefix("gene_id "),
        coding=bool(cds) if draft.coding is None else draft.coding,
        exons=exons or cds,
        cds=cds,
    )


def _segments(rows: Iterable[Row]) -> Segments:
    return tuple(sorted((row.start, row.end) for row in rows))


def _join_stop(cds: Segments, stops: Segments) -> Segments:
    """Add the stop codon (up to three segments) to a CDS that may hold it already.

    Only stop codons are joined: CDS segments that touch each other are a ribosomal frameshift.
    """
    joined = list(cds)
    for start, end in stops:
        if any(s <= start and end <= e for s, e in joined):
            continue
        for index, (s, e) in enumerate(joined):
            if start in (s, e) or end in (s, e):
                joined[index] = (min(s, start), max(e, end))
                break
        else:
            joined.append((start, end))
    return tuple(sorted(joined))
