"""A sample sheet: hundreds of assemblies, a row each.

A tab-separated table with a header, for instance

    assembly           fasta          annotation       species              weight  split
    GCF_000001405.40   human.2bit     human.gtf.gz     Homo sapiens         1
    GCF_000001215.4    fly.fa.gz      fly.gff3         D. melanogaster      0.5     train
    GCF_000146045.2    yeast.gb                        S. cerevisiae        1       test

`assembly` and `fasta` (FASTA, 2bit or GenBank) are needed; the other columns may be left out, or
a field of them empty. Paths are relative to the sheet. Every row is checked before any file is
read; annotations are read when their assembly's turn has come. Of a FASTA the whole is read at the
start, of a 2bit the header. A worker process takes an assembly; several share the contigs of one
that has no annotation and is a plain FASTA or a 2bit.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from glm_composer.conversion.assembly import Assembly
from glm_composer.conversion.files import describe, numbered_lines
from glm_composer.conversion.genomes import (
    TranscriptFile,
    annotation_suffix,
    genbank_contigs,
    genbank_transcripts,
    genome_assembly,
    is_genbank,
    read_annotation,
)
from glm_composer.errors import UserError
from glm_composer.registry import sources

_LOG = logging.getLogger(__name__)
# Hashing and gunzip leave the interpreter to other threads; reading a FASTA through does not.
_THREADS = 4
_NEEDED = ("assembly", "fasta")
_COLUMNS = (*_NEEDED, "annotation", "species", "weight", "split")


@dataclass(frozen=True, kw_only=True)
class SampleSheet:
    """Settings of `sheet`.

    Attributes:
        path: of the sheet.
        allow_missing_contigs: leave out annotation rows on contigs that the genome lacks.
        licence: of the files, for the manifest.
    """

    name: str = "sheet"
    path: str
    allow_missing_contigs: bool = False
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    assembly: str
    genome: Path
    annotation: Path | None
    species: str | None
    weight: float
    split: str | None


@sources.register("sheet")
def sheet(settings: SampleSheet) -> list[Assembly]:
    """Return the assemblies of a sheet, in its order."""
    rows = _read(Path(settings.path).expanduser())
    _LOG.info("%s: looking through %d assemblies", settings.path, len(rows))
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(partial(_assembly, settings), rows))


def _read(path: Path) -> list[_Row]:
    lines = ((line, text) for line, text in numbered_lines(path) if text.strip())
    number, header = next(lines, (1, ""))
    columns = header.removeprefix("#").split("\t")
    unknown = [name for name in columns if name not in _COLUMNS]
    absent = [name for name in _NEEDED if name not in columns]
    if unknown or absent or len(set(columns)) < len(columns):
        problem = "a column twice"
        if unknown:
            problem = f"unknown column '{unknown[0]}'"
        elif absent:
            problem = f"no column '{absent[0]}'"
        raise UserError(
            f"{path}, line {number}: {problem}; tab-separated columns are {', '.join(_COLUMNS)}"
        )
    rows: list[_Row] = []
    wrong: list[str] = []
    seen: dict[str, str] = {}
    for line, text in lines:
        where = f"{path}, line {line}"
        fields = text.split("\t")
        if len(fields) != len(columns):
            wrong.append(f"{where}: {len(fields)} tab-separated fields, {len(columns)} columns")
            continue
        try:
            row = _check(
                where, path.parent, dict(zip(columns, map(str.strip, fields), strict=True))
            )
        except UserError as error:
            wrong.append(str(error))
            continue
        if row.assembly in seen:
            wrong.append(f"{where}: assembly '{row.assembly}' is on {seen[row.assembly]} already")
        seen.setdefault(row.assembly, f"line {line}")
        rows.append(row)
    if wrong:
        more = f" ({len(wrong)} rows of the sheet are wrong)" if len(wrong) > 1 else ""
        raise UserError(f"{wrong[0]}{more}")
    if not rows:
        raise UserError(f"{path}: no assembly in the sheet; add a row")
    return rows


def _check(where: str, folder: Path, fields: Mapping[str, str]) -> _Row:
    name = fields["assembly"]
    if not name or "/" in name:
        raise UserError(f"{where}: assembly '{name}' must be a name without '/'")
    if not fields["fasta"]:
        raise UserError(f"{where}: no 'fasta' for assembly '{name}'; give a path")
    genome = folder / Path(fields["fasta"]).expanduser()
    annotation = None
    if fields.get("annotation"):
        annotation = folder / Path(fields["annotation"]).expanduser()
        if is_genbank(genome):
            raise UserError(f"{where}: a GenBank file carries its annotation; leave it out")
        try:
            annotation_suffix(annotation)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    for path in filter(None, (genome, annotation)):
        if not path.is_file():
            raise UserError(f"{where}: {path}: no such file; paths are relative to the sheet")
    try:
        weight = float(fields.get("weight") or 1)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1:
        raise UserError(
            f"{where}: weight '{fields['weight']}' must be a number above 0 and at most 1"
        )
    species, split = fields.get("species") or None, fields.get("split") or None
    return _Row(where, name, genome, annotation, species, weight, split)


def _assembly(settings: SampleSheet, row: _Row) -> Assembly:
    try:
        if is_genbank(row.genome):
            assembly = Assembly(
                name=row.assembly,
                files=(describe(row.genome, licence=settings.licence),),
                lengths={c.name: len(c.sequence) for c in genbank_contigs(row.genome)},
                contigs=partial(genbank_contigs, row.genome),
                transcripts=TranscriptFile(row.where, partial(genbank_transcripts, row.genome)),
            )
        else:
            assembly = genome_assembly(row.assembly, row.genome, settings.licence)
        if row.annotation is not None:
            read = partial(
                read_annotation, row.annotation, assembly.lengths, settings.allow_missing_contigs
            )
            assembly = replace(
                assembly,
                files=(*assembly.files, describe(row.annotation, licence=settings.licence)),
                transcripts=TranscriptFile(row.where, read),
                # One process goes through all contigs: another would read the annotation again.
                only=None,
            )
    except UserError as error:
        raise UserError(f"{row.where}: {error}") from None
    return replace(assembly, species=row.species, weight=row.weight, split=row.split)
