"""All runs as one table, a row a run, for whoever would rather ask it with their own tools."""

import os
from pathlib import Path

import polars as pl

from glm_composer.errors import UserError
from glm_composer.runs.filters import Value
from glm_composer.runs.known import Index, facts_of_all
from glm_composer.runs.query import NAME, STATE, find

_ENDINGS = (".parquet", ".csv")


def export_runs(index: Index, out: Path, where: str | None) -> int:
    """Write a table of runs; return how many.

    Columns are keys: whole numbers, other numbers, or text where a key has any text. A run
    without a value has null.

    Args:
        index: of `open_index`.
        out: a path that ends in .parquet or .csv; what was there is replaced.
        where: an expression of `filters`.

    Raises:
        UserError: as `find`, or the file cannot be written.
    """
    if out.suffix not in _ENDINGS:
        raise UserError(f"{out}: choose a path that ends in {' or '.join(_ENDINGS)}")
    known = facts_of_all(index)
    rows: list[dict[str, Value]] = [
        {NAME: name, **known[name], **now} for name, now in find(index, [STATE], where).items()
    ]
    keys = [NAME, *sorted({key for row in rows for key in row} - {NAME})]
    frame = pl.DataFrame([_series(key, [row.get(key) for row in rows]) for key in keys])
    aside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        frame.write_parquet(aside) if out.suffix == ".parquet" else frame.write_csv(aside)
        os.replace(aside, out)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
    return len(rows)


def _series(key: str, values: list[Value | None]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pl.Series(key, values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(key, [None if v is None else float(v) for v in values], dtype=pl.Float64)  # type: ignore[arg-type]
    return pl.Series(key, [None if v is None else str(v) for v in values], dtype=pl.String)
