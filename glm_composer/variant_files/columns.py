"""The four columns that make a variant, brought into one form whatever the file held."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from glm_composer.errors import UserError

KEY = ("chrom", "pos", "ref", "alt")
_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def require(path: Path, columns: Sequence[str]) -> None:
    """Check that a table has the columns of a variant, and none twice.

    Raises:
        UserError: names the column.
    """
    for column in KEY:
        if column not in columns:
            raise UserError(
                f"{path}: no column '{column}'; a variant table needs {', '.join(KEY)} and this "
                f"one has {', '.join(columns) or 'none'}"
            )
    refuse_twins(path, columns)


def refuse_twins(path: Path, columns: Sequence[str]) -> None:
    """Check that no column is there twice.

    Raises:
        UserError: names the column.
    """
    for column in columns:
        if columns.count(column) > 1:
            raise UserError(f"{path}: column '{column}' is there twice")


def normalize(path: Path, raw: pl.DataFrame, start: int) -> pl.DataFrame:
    """Bring chrom, pos, ref and alt into their types; the other columns stay as they are.

    Args:
        path: of the file, for messages.
        raw: rows as the file has them.
        start: number of the first of them, counting from 0.

    Raises:
        UserError: names the row (from 1) and the value: no contig, or a position that is no
            integer.
    """
    chrom = raw["chrom"].cast(pl.String).fill_null("")
    # Through text, so that 12.0 and 1e5 are refused rather than rounded.
    text = raw["pos"] if raw["pos"].dtype.is_integer() else raw["pos"].cast(pl.String)
    pos = text.cast(pl.Int64, strict=False)
    for column, bad, problem in (
        ("chrom", chrom == "", "empty; expected a contig's name"),
        ("pos", pos.is_null(), "not an integer"),
    ):
        if bad.any():
            row = bad.arg_max() or 0
            raise UserError(
                f"{path}: row {start + row + 1}, column '{column}': {raw[column][row]!r} is "
                f"{problem}; mend or remove the row"
            )
    alleles = [
        raw[name].cast(pl.String).fill_null(".").str.to_uppercase() for name in ("ref", "alt")
    ]
    return raw.with_columns(chrom, pos, *alleles)


def regroup(
    path: Path, frames: Iterable[pl.DataFrame], rows: int, start: int, before: int = 0
) -> Iterator[pl.DataFrame]:
    """Yield the rows from number `start` on, normalised, `rows` at a time.

    Args:
        path: of the file, for messages.
        frames: the file's rows, without the first `before` ones.
        rows: in a piece.
        start: number of the first row, counting from 0.
        before: at most `start`.

    Raises:
        UserError: as `normalize`; there are no rows at all.
    """
    held: list[pl.DataFrame] = []
    waiting, seen, number = 0, before, start
    for frame in frames:
        kept = frame[max(start - seen, 0) :]
        seen += len(frame)
        while len(kept):
            part = kept[: rows - waiting]
            held.append(part)
            waiting += len(part)
            kept = kept[len(part) :]
            if waiting == rows:
                yield normalize(path, pl.concat(held), number)
                held, number, waiting = [], number + rows, 0
    if not seen:
        raise UserError(f"{path}: a header but no rows; expected one variant a row")
    if held:
        yield normalize(path, pl.concat(held), number)


def labels(path: Path, column: pl.Series) -> pl.Series:
    """Return labels as bool [n].

    Args:
        path: of the file, for messages.
        column: 0/1 or false/true, as numbers, truth or text.

    Raises:
        UserError: names the row (from 1) and the value that is none of these.
    """
    text = column.cast(pl.String).str.to_lowercase()
    truth = text.replace_strict(_LABELS, default=None, return_dtype=pl.Boolean)
    if truth.null_count():
        row = truth.is_null().arg_max() or 0
        raise UserError(
            f"{path}: row {row + 1}, column '{column.name}': {column[row]!r} is neither 0 nor 1 "
            f"({truth.null_count()} such rows of {len(column)}); mend or remove the row"
        )
    return truth


def refuse_repeated(path: Path, table: pl.DataFrame) -> None:
    """Check that a table has no variant twice.

    Raises:
        UserError: names the row (from 1), the variant, and the row that has it already.
    """
    repeated = ~table.select(pl.struct(KEY).is_first_distinct()).to_series()
    if not repeated.any():
        return
    row = repeated.arg_max() or 0
    variant = table.select(KEY).row(row)
    first = table.select(KEY).rows().index(variant)
    raise UserError(
        f"{path}: row {row + 1}, columns {', '.join(KEY)}: {' '.join(map(str, variant))} is "
        f"already in row {first + 1} ({repeated.sum()} repeated rows); remove the repeats"
    )
