"""Variants in TSV or CSV, plain or gzip, read in blocks.

The types of the columns besides chrom, pos, ref and alt come from all rows, for a guess from the
first ones fails further down. So the file is read twice, and never held. Text that would be
another one as a number stays text: 007 and 12345678901234567890 are names.
"""

import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from glm_composer.errors import UserError
from glm_composer.variant_files.columns import KEY, refuse_twins, regroup, require

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20  # bytes
# As much of a last line as is looked at, and as is shown.
_LOOKED_AT, _SHOWN = 1 << 16, 100
_SEPARATORS = {".tsv": "\t", ".csv": ","}
_TRUTH = {"true": True, "false": False}
# Digits that a 64-bit float drops: zeros in front, and what is beyond 15 of them.
_NOT_A_FLOAT = r"^[+-]?(0\d+|\d{16,})$"


def columns(path: Path) -> list[str]:
    """Return the names of the columns, checked; warn of a last line that may be cut."""
    names = _header(path)
    _tell_open_end(path)
    return names


def _header(path: Path) -> list[str]:
    with _explained(path):
        names = _names(path)
    require(path, names)
    return names


def _names(path: Path) -> list[str]:
    with closing(_stream(path)) as stream:
        lines = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        return next(csv.reader(lines, delimiter=_separator(path)), [])


def count(path: Path) -> int:
    """Return the number of rows, reading them all."""
    return sum(len(frame) for frame in _frames(path, _header(path)))


def whole(path: Path, *, text: Sequence[str] = (), nulls: Sequence[str] = ("",)) -> pl.DataFrame:
    """Read a table of any columns at once.

    Args:
        path: of the table.
        text: columns that stay as the file has them.
        nulls: what stands for an absent value.

    Raises:
        UserError: a column that is there twice; a damaged file.
    """
    with _explained(path):
        names = _names(path)
    refuse_twins(path, names)
    types = _types(path, [name for name in names if name not in text], names, nulls)
    frames = [_typed(each, types) for each in _frames(path, names, nulls)]
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def chunks(path: Path, rows: int, start: int) -> Iterator[pl.DataFrame]:
    """See `VariantFile.chunks`; the rows before `start` are read too."""
    names = _header(path)
    types = _types(path, [name for name in names if name not in KEY], names)
    yield from regroup(path, (_typed(each, types) for each in _frames(path, names)), rows, start)


def _frames(path: Path, names: list[str], nulls: Sequence[str] = ("",)) -> Iterator[pl.DataFrame]:
    """The rows in blocks, all of them text, null where a field is empty.

    Raises:
        UserError: a field with a line break. It is a quotation mark without its pair, which makes
            one field of all rows up to the next one.
    """
    row = 0
    with _explained(path), closing(_stream(path)) as stream:
        reading = pc.ReadOptions(use_threads=False, block_size=_BLOCK)
        parsing = pc.ParseOptions(delimiter=_separator(path))
        for batch in pc.open_csv(stream, reading, parsing, _as_text(names, nulls)):
            frame = pl.DataFrame(pl.from_arrow(batch))
            for name in names:
                broken = frame[name].str.contains("\n", literal=True).fill_null(False)
                if broken.any():
                    number = row + (broken.arg_max() or 0) + 1
                    raise UserError(
                        f"{path}: row {number}, column '{name}': a field with a line break; is "
                        "there a quotation mark without its pair?"
                    )
            row += len(frame)
            yield frame


def _tell_open_end(path: Path) -> None:
    """Log it if the last line has no end; not of gzip, which knows by itself that it is cut."""
    if path.suffix.lower() == ".gz":
        return
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _LOOKED_AT, 0))
        end = file.read()
    if end and not end.endswith((b"\n", b"\r")):
        last = end.rpartition(b"\n")[2].decode(errors="replace")
        shown = last if len(last) <= _SHOWN else f"...{last[-_SHOWN:]}"
        _LOG.warning(
            "%s: the last row, '%s', has no line break at its end; was the file cut short?",
            path,
            shown,
        )


def _stream(path: Path) -> pa.NativeFile:
    return pa.input_stream(path, compression="gzip" if path.suffix.lower() == ".gz" else None)


def _separator(path: Path) -> str:
    return _SEPARATORS[Path(path.name.lower().removesuffix(".gz")).suffix]


def _as_text(names: list[str], nulls: Sequence[str]) -> pc.ConvertOptions:
    return pc.ConvertOptions(
        column_types={name: pa.string() for name in names},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=list(nulls),
    )


def _types(
    path: Path, wanted: list[str], names: list[str], nulls: Sequence[str] = ("",)
) -> dict[str, pl.DataType]:
    """What some columns can be as a whole: whole numbers, else numbers, else truth, else text."""
    possible = {name: [pl.Int64(), pl.Float64(), pl.Boolean()] for name in wanted}
    for frame in _frames(path, names, nulls) if possible else ():
        for name, left in possible.items():
            there = frame[name].drop_nulls()
            # Each by itself: an earlier block may be whole numbers that are too long for floats.
            left[:] = [kind for kind in left if _fits(there, kind)]
    return {name: left[0] if left else pl.String() for name, left in possible.items()}


def _fits(text: pl.Series, to: pl.DataType) -> bool:
    """Whether all values can be of a type without becoming others."""
    values = _cast(text, to)
    if values.null_count():
        return False
    if to == pl.Int64():
        return bool((values.cast(pl.String) == text).all())
    return to != pl.Float64() or not text.str.contains(_NOT_A_FLOAT).any()


def _typed(frame: pl.DataFrame, types: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.with_columns([_cast(frame[name], to) for name, to in types.items()])


def _cast(text: pl.Series, to: pl.DataType) -> pl.Series:
    if to == pl.Boolean():
        return text.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=to)
    return text.cast(to, strict=False)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a table: {reason}") from None
