"""Variants in VCF and BCF: sites with several alternate alleles become several rows.

htslib reads them. What it lets pass is refused here: a text file that ends in the middle of a
line, gzip that is not bgzip, whose end cannot be checked, and a name that says another format than
the content has, for other programs go by the name.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import polars as pl
import pysam

from glm_composer.errors import UserError
from glm_composer.variant_files.columns import regroup

_ROWS = 1 << 14
_COLUMNS = {
    "chrom": pl.String,
    "pos": pl.Int64,
    "id": pl.String,
    "ref": pl.String,
    "alt": pl.String,
}


def columns(path: Path) -> list[str]:
    """Return the names of the columns of `chunks`, after a look at the header."""
    with opened(path):
        return list(_COLUMNS)


def count(path: Path) -> int:
    """Return the number of alternate alleles, where a site without one counts as one."""
    return sum(len(alleles(record)) for record in records(path))


def chunks(path: Path, rows: int, start: int) -> Iterator[pl.DataFrame]:
    """See `VariantFile.chunks`; a site without an alternate allele is a row with alt "."."""
    yield from regroup(path, _frames(path), rows, start)


def alleles(record: pysam.VariantRecord) -> tuple[str, ...]:
    """Return the alternate alleles of a site as they are, or (".",) where there is none."""
    return record.alts or (".",)


def records(path: Path, *, samples: bool = False) -> Iterator[pysam.VariantRecord]:
    """Yield the sites of a file, with or without their samples.

    Raises:
        UserError: as `opened`; a record that cannot be read, with its number from 1.
    """
    with opened(path, samples=samples) as file:
        number, last = 1, "the header"
        try:
            for record in file:
                yield record
                number, last = number + 1, f"{record.chrom}:{record.pos}"
        except (OSError, ValueError):
            where = f"{path}: record {number} (after {last})"
            if _is_blank(path, file, number):
                raise UserError(f"{where} is a blank line; remove the line") from None
            raise UserError(
                f"{where} cannot be read: the file is cut short, or the record is not as the VCF "
                "specification has it; write it again"
            ) from None


def _is_blank(path: Path, file: pysam.VariantFile, number: int) -> bool:
    """Whether the line of a record, from 1, holds nothing."""
    if file.format != "VCF":
        return False
    try:
        # Not BGZFile, for which a blank line is the end.
        with gzip.open(path) if file.compression == "BGZF" else path.open("rb") as text:
            lines = (line for line in text if not line.startswith(b"#"))
            return not next(islice(lines, number - 1, None), b"none").strip()
    except (OSError, EOFError, zlib.error):
        return False


@contextmanager
def opened(path: Path, *, samples: bool = False) -> Iterator[pysam.VariantFile]:
    """Open a VCF or BCF for reading, and keep htslib from writing to stderr meanwhile.

    Args:
        path: of the file.
        samples: read the samples as well; without them it takes a fraction of the time.

    Raises:
        UserError: not a VCF or BCF, or not the one that its name says; gzip but not bgzip; cut
            short.
    """
    _refuse_cut(path)
    verbosity = pysam.set_verbosity(0)
    try:
        try:
            file = pysam.VariantFile(str(path), drop_samples=not samples)
        except (OSError, ValueError, NotImplementedError) as error:
            hint = "truncated, no end marker" if "EOF" in str(error) else "not a VCF or BCF"
            raise UserError(f"{path}: cannot be read: {hint}; write it again") from None
        try:
            _refuse_other_name(path, file)
            yield file
        except BaseException:
            # htslib tells of a damaged block once more here.
            with suppress(OSError):
                file.close()
            raise
        try:
            file.close()
        except OSError:
            raise UserError(f"{path}: damaged; write it again") from None
    finally:
        pysam.set_verbosity(verbosity)


def _refuse_cut(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(18)
            if not head:
                raise UserError(f"{path}: empty file; expected a VCF header")
            if head[:2] == b"\x1f\x8b":
                if not (head[3] & 4 and head[12:14] == b"BC"):
                    raise UserError(
                        f"{path}: plain gzip; recompress it with 'gunzip FILE' and 'bgzip FILE'"
                    )
                return
            file.seek(-1, os.SEEK_END)
            if head[:2] == b"##" and file.read() != b"\n":
                raise UserError(
                    f"{path}: truncated: the last line has no end; write it again, or add a line "
                    "break where the line is whole"
                )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _refuse_other_name(path: Path, file: pysam.VariantFile) -> None:
    content: str
    endings: tuple[str, ...]
    if file.format == "BCF":
        content, endings = "BCF", (".bcf",)
    elif file.compression == "BGZF":
        content, endings = "VCF compressed by bgzip", (".vcf.gz", ".vcf.bgz")
    else:
        content, endings = "VCF without compression", (".vcf",)
    if not path.name.lower().endswith(endings):
        stem = re.sub(r"\.(vcf|vcf\.b?gz|bcf)$", "", path.name, flags=re.IGNORECASE)
        raise UserError(f"{path}: holds {content}; rename it to {stem}{endings[0]}")


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    lists: dict[str, list] = {name: [] for name in _COLUMNS}
    chrom, pos, name, ref, alt = lists.values()
    for record in records(path):
        for allele in alleles(record):
            chrom.append(record.chrom)
            pos.append(record.pos)
            name.append(record.id)
            ref.append(record.ref)
            alt.append(allele)
        if len(alt) >= _ROWS:
            yield pl.DataFrame(lists, schema=_COLUMNS)
            for column in lists.values():
                column.clear()
    if alt:
        yield pl.DataFrame(lists, schema=_COLUMNS)
