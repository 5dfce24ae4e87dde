"""Scores into a VCF: the source's text as it is, with a value for each alternate allele in INFO.

Text, not htslib's records: those lose digits of numbers and gain an END. A BCF becomes a VCF, and
CRLF at the ends of lines LF.
"""

import logging
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pysam

from glm_composer.errors import UserError
from glm_composer.variant_files.reader import kind_of
from glm_composer.variant_files.vcf import opened, records

_LOG = logging.getLogger(__name__)
# VCF 4.3, section 1.6.1.
_INFO_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*")
# VCF 4.3, section 1.2: what would end a value, and the mark of an escape itself.
_ESCAPED = str.maketrans({c: f"%{ord(c):02X}" for c in "%:;=, \t\r\n"})
# What a .tbi can hold; beyond it .csi is needed.
_TABIX_LIMIT = 1 << 29
_INFO, _ALT, _POS = 7, 4, 1


def write_vcf(
    source: str | Path,
    scores: Iterable[pl.DataFrame],
    out: str | Path,
    *,
    descriptions: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path | None:
    """Write a copy of a VCF or BCF with further values in INFO.

    Header, samples and everything else stay as they are. The file appears whole or not at all,
    and takes the place of one that is there.

    Args:
        source: the VCF or BCF.
        scores: values in the rows of `open_variants(source)`, one alternate allele a row, in
            frames of any size with the same columns: numbers (nan and null are missing) or text.
        out: .vcf or .vcf.gz (bgzip, and with an index beside it if the source is sorted).
        descriptions: of columns, for the header.
        notes: further lines of the header, as in ##key=value.

    Returns:
        The path of the index, or None where there is none.

    Raises:
        UserError: as `open_variants`; `source` is no VCF or BCF; `out` is called otherwise, or
            cannot be written; INFO has a column's name already, or cannot have it.
        ValueError: more rows of scores than of variants, or fewer.
    """
    source, out = Path(source), Path(out)
    if kind_of(source) not in ("vcf", "bcf"):
        raise UserError(f"{source}: not a VCF or BCF; only those can be written with scores")
    if not out.name.endswith((".vcf", ".vcf.gz")):
        raise UserError(f"{out}: expected a name that ends in .vcf or .vcf.gz")
    frames = iter(scores)
    first = next(frames, pl.DataFrame())
    lines = _scored(source, first, frames, descriptions or {}, notes or {})
    try:
        with tempfile.TemporaryDirectory(prefix=".vcf-", dir=out.parent) as scratch:
            written = Path(scratch, out.name)
            largest = _write(lines, written)
            index = _index(written, largest) if out.suffix == ".gz" else None
            for suffix in (".tbi", ".csi"):
                Path(f"{out}{suffix}").unlink(missing_ok=True)
            written.replace(out)
            return index.replace(out.with_name(index.name)) if index else None
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None


def _scored(
    source: Path,
    first: pl.DataFrame,
    frames: Iterator[pl.DataFrame],
    descriptions: Mapping[str, str],
    notes: Mapping[str, str],
) -> Iterator[bytes]:
    """The lines of the new file."""
    rows = chain.from_iterable(frame.iter_rows() for frame in chain([first], frames))
    names = first.columns
    for line in _text_lines(source):
        if line.startswith(b"#"):
            if line.startswith(b"#CHROM"):
                yield from (f"##{key}={value}\n".encode() for key, value in notes.items())
                yield from _definitions(first, descriptions)
            else:
                _refuse_defined(source, names, line)
            yield line.rstrip(b"\r\n") + b"\n"
            continue
        fields = line.rstrip(b"\r\n").split(b"\t", _INFO + 1)
        values = []
        for _ in range(fields[_ALT].count(b",") + 1):
            row = next(rows, None)
            if row is None:
                raise ValueError(f"{source} has more variants than there are rows of scores")
            values.append(row)
        added = ";".join(_entries(names, values)).encode()
        if added:
            old = fields[_INFO]
            fields[_INFO] = added if old in (b".", b"") else b";".join((old.rstrip(b";"), added))
        yield b"\t".join(fields) + b"\n"
    if next(rows, None) is not None:
        raise ValueError(f"{source} has fewer variants than there are rows of scores")


def _text_lines(source: Path) -> Iterator[bytes]:
    # Opened as VCF in any case, for its errors.
    with opened(source, samples=True) as file:
        if file.format == "BCF":
            yield from (f"{line}\n".encode() for line in str(file.header).splitlines())
            yield from (str(record).encode() for record in records(source, samples=True))
        elif file.compression == "BGZF":
            try:
                # Not gzip, which gives lines of a damaged block before it finds it damaged.
                with pysam.BGZFile(str(source), "rb", None) as text:
                    yield from (line + b"\n" for line in text)
            except OSError:
                raise UserError(f"{source}: damaged; write it again") from None
        else:
            with source.open("rb") as text:
                yield from text


def _definitions(first: pl.DataFrame, descriptions: Mapping[str, str]) -> Iterator[bytes]:
    for name, kind in first.schema.items():
        if not _INFO_NAME.fullmatch(name):
            raise UserError(
                f"'{name}' cannot be a name in INFO; it needs a letter or _ first, then letters, "
                "digits, _ and ."
            )
        told = descriptions.get(name, name).replace("\\", "\\\\").replace('"', '\\"')
        form = "Float" if kind.is_numeric() else "String"
        yield f'##INFO=<ID={name},Number=A,Type={form},Description="{told}">\n'.encode()


def _refuse_defined(source: Path, names: Sequence[str], line: bytes) -> None:
    for name in names:
        if line.startswith(f"##INFO=<ID={name},".encode()):
            raise UserError(
                f"{source}: has '{name}' in INFO already; take it out first "
                f"(bcftools annotate -x INFO/{name})"
            )


def _entries(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """`name=value,value` for each name that has a value for any of the alleles."""
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        texts = [_text(value) for value in values]
        if any(text != "." for text in texts):
            yield f"{name}={','.join(texts)}"


def _text(value: Any) -> str:
    if value is None or value == "":
        return "."
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    return "." if math.isnan(value) else f"{value:.6g}"


def _write(lines: Iterable[bytes], path: Path) -> int:
    """Write lines, as bgzip where the name says so; returns the largest position."""
    largest = 0
    with pysam.BGZFile(str(path), "wb", None) if path.suffix == ".gz" else path.open("wb") as file:
        for line in lines:
            file.write(line)
            if not line.startswith(b"#"):
                largest = max(largest, int(line.split(b"\t", _POS + 1)[_POS]))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return largest


def _index(path: Path, largest: int) -> Path | None:
    """Index a bgzip VCF; None where it is not sorted."""
    csi = largest >= _TABIX_LIMIT
    verbosity = pysam.set_verbosity(0)
    try:
        pysam.tabix_index(str(path), preset="vcf", csi=csi)
    except OSError:
        _LOG.info("%s: not sorted by position, so there is no index", path.name)
        return None
    finally:
        pysam.set_verbosity(verbosity)
    return Path(f"{path}.csi" if csi else f"{path}.tbi")
