"""Variants in Parquet. A row group may be the whole file, so pages are read, not row groups."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from glm_composer.errors import UserError
from glm_composer.variant_files.columns import regroup, require

_ROWS = 1 << 14


def columns(path: Path) -> list[str]:
    """Return the names of the columns, checked."""
    with _opened(path) as file:
        names = list(file.schema_arrow.names)
    require(path, names)
    return names


def count(path: Path) -> int:
    """Return the number of rows that the footer tells."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def chunks(path: Path, rows: int, start: int) -> Iterator[pl.DataFrame]:
    """See `VariantFile.chunks`; row groups before `start` are not read."""
    with _opened(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        first = before = 0
        # The last group stays, so that a start behind the end is no empty file.
        while first < len(sizes) - 1 and before + sizes[first] <= start:
            before += sizes[first]
            first += 1
        batches = file.iter_batches(_ROWS, row_groups=list(range(first, len(sizes))))
        frames = (pl.DataFrame(pl.from_arrow(batch)) for batch in batches)
        yield from regroup(path, frames, rows, start, before)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        # pre_buffer reads whole row groups ahead.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as Parquet: {reason}") from None
