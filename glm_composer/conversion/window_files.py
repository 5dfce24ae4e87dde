"""Files of ready windows, JSONL (plain, .gz, .zst) or Parquet -> batches of `Windows`.

JSONL is read in blocks of whole lines, each parsed by Arrow at once; lines are looked at one by
one only where a block is wrong, to name the line.
"""

import codecs
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glm_composer.conversion.assembly import Windows
from glm_composer.conversion.files import open_stream
from glm_composer.conversion.ready_windows import BadRow, Columns, rows_of
from glm_composer.errors import UserError

_BLOCK = 1 << 22
_ROWS, _BASES = 8192, 1 << 23


def reader_of(path: Path) -> Callable[..., Iterator[Windows]]:
    """Return the reader of a file by its suffix, or raise a UserError."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    if path.name.endswith(".parquet"):
        return read_parquet
    if name.endswith((".jsonl", ".json", ".ndjson")):
        return read_jsonl
    raise UserError(f"{path}: unknown format; use .parquet, or .jsonl, plain, .gz or .zst")


def rows_at_once(longest: int | None) -> int:
    """Return how many rows to read at a time where shorter windows are filled up to `longest`."""
    return _ROWS if longest is None else max(1, min(_ROWS, _BASES // longest))


def read_jsonl(
    path: Path, columns: Columns, longest: int | None = None, rows: int | None = None
) -> Iterator[Windows]:
    """Yield the windows of a JSONL file: one object a line; blank lines are allowed.

    Args:
        path: of the file.
        columns: which column says what.
        longest: windows may vary in length, up to so many bases.
        rows: at most so many at a time; as `rows_at_once` where not given.

    Raises:
        UserError: naming the file and the line: no such column, or what `to_windows` finds wrong;
            an empty, cut or damaged file.
    """
    with open_stream(path) as stream:
        line, length, seen = 1, None, False
        for block in _blocks(path, stream):
            if line == 1:
                block = block.removeprefix(codecs.BOM_UTF8)
            table = _parse(path, columns, block, line) if block.strip() else None
            try:
                batches = table.to_batches(rows or rows_at_once(longest)) if table else ()
                for windows in rows_of(batches, columns, length, longest):
                    seen = True
                    if longest is None:
                        length = windows.sequence.shape[1]
                    yield windows
            except BadRow as bad:
                number = line + _filled(block)[bad.row]
                raise UserError(f"{path}, line {number}: {bad}") from None
            line += block.count(b"\n")
    if not seen:
        raise UserError(f"{path}: no window in the file; remove it, or write it again")


def read_parquet(
    path: Path, columns: Columns, longest: int | None = None, rows: int | None = None
) -> Iterator[Windows]:
    """Yield the windows of a Parquet file.

    Args:
        path: of the file.
        columns: which column says what.
        longest: windows may vary in length, up to so many bases.
        rows: at most so many at a time; as `rows_at_once` where not given.

    Raises:
        UserError: naming the file and the row, from 1: no such column, or what `to_windows` finds
            wrong; a file that is empty, cut or no Parquet.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            missing(str(path), columns, file.schema_arrow.names)
            if not file.metadata.num_rows:
                raise UserError(f"{path}: no window in the file; remove it, or write it again")
            batches = file.iter_batches(rows or rows_at_once(longest), columns=columns.needed)
            yield from rows_of(batches, columns, longest=longest)
    except BadRow as bad:
        raise UserError(f"{path}, row {bad.row + 1}: {bad}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path in the yaml") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a readable Parquet file ({reason}); fetch it again"
        ) from None


def missing(where: str, columns: Columns, present: list[str]) -> None:
    """Raise a UserError where a needed column is not among those that are present."""
    for name in columns.needed:
        if name not in present:
            raise UserError(
                f"{where}: no column '{name}'; it has {', '.join(present)}; say which one to take "
                "under 'source.columns'"
            )


def _blocks(path: Path, stream: Any) -> Iterator[bytes]:
    """Yield blocks of whole lines."""
    rest = b""
    while read := stream.read(_BLOCK):
        end = read.rfind(b"\n") + 1
        if not end and len(rest) > _BLOCK:
            raise UserError(
                f"{path}: a line of more than {_BLOCK:,} bytes; JSONL has one window a line"
            )
        if end:
            yield rest + read[:end]
            rest = read[end:]
        else:
            rest += read
    if rest:
        yield rest


def _parse(path: Path, columns: Columns, block: bytes, line: int) -> Any:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    # Arrow would take text that looks like a date for one; a contig's name may be a number.
    text = _text(columns)
    try:
        table = arrow_json.read_json(
            io.BytesIO(block),
            arrow_json.ReadOptions(use_threads=False, block_size=max(len(block), 1 << 10)),
            arrow_json.ParseOptions(
                explicit_schema=pa.schema([(name, pa.string()) for name in text]),
                unexpected_field_behavior="ignore" if columns.needed == text else "infer",
            ),
        )
    except pa.ArrowInvalid as error:
        _check_lines(path, columns, block, line)
        reason = " ".join(str(error).split())
        raise UserError(f"{path}, line {line} or below: {reason}") from None
    # Arrow also takes two objects on a line, or one on two: rows would not be lines then. And a
    # column of the schema that the file lacks is there, without a value.
    lines_are_rows = len(table) == block.count(b"\n") or len(table) == len(_filled(block))
    absent = any(table.column(name).null_count == len(table) for name in text)
    if not lines_are_rows or absent or set(columns.needed) - set(table.column_names):
        _check_lines(path, columns, block, line)
    return table


def _text(columns: Columns) -> list[str]:
    return [columns.seq] if columns.contig else [columns.seq, columns.id]


def _filled(block: bytes) -> list[int]:
    """Return the numbers of the lines that are not blank, from 0."""
    return [number for number, text in enumerate(block.split(b"\n")) if text.strip()]


def _check_lines(path: Path, columns: Columns, block: bytes, line: int) -> None:
    """Raise a UserError that names the first line which is not an object with every column."""
    types: dict[str, type] = dict.fromkeys(_text(columns), str)
    for number, text in enumerate(block.split(b"\n"), start=line):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(text)
        except ValueError as problem:
            raise UserError(f"{where}: not valid JSON ({problem}); correct or remove it") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object but {type(row).__name__}")
        missing(where, columns, list(row))
        for name in columns.needed:
            value = row[name]
            if value is not None and types.setdefault(name, type(value)) is not type(value):
                raise UserError(f"{where}: '{name}' = {value!r} is not of the column's type")
