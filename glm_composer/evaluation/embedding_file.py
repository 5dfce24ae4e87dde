"""Embeddings of scored variants as a file holds them, for a probe."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.scored import KEY, ScoredVariants, read_table

COLUMN = "embedding"


def read_embeddings(path: Path, scored: ScoredVariants) -> NDArray[np.float64]:
    """Read the embeddings of scored variants: float [n, d].

    Args:
        path: Parquet file with a list column `embedding`, a row for each row of the scored file.
        scored: none of its rows left out.

    Raises:
        UserError: no such column, another number of rows, another variant in some row, embeddings
            of different lengths, or an empty one.
    """
    if scored.left_out:
        raise UserError(
            f"{scored.path}: {scored.left_out} rows were left out, so that embeddings are not "
            "row-aligned; write a file without these rows"
        )
    table, _ = read_table(path)
    if not isinstance(table.schema.get(COLUMN), pl.List | pl.Array):
        raise UserError(
            f"{path}: no column '{COLUMN}' of lists of numbers; columns: "
            f"{', '.join(table.columns)}"
        )
    if len(table) != len(scored.table):
        raise UserError(
            f"{path}: {len(table)} rows, but {scored.path} has {len(scored.table)}; embeddings "
            "must be of the same rows in the same order"
        )
    for name in set(KEY) & set(table.columns) & set(scored.table.columns):
        other = scored.table[name].cast(pl.String).ne_missing(table[name].cast(pl.String))
        if other.any():
            row = int(other.arg_max() or 0)
            raise UserError(
                f"{path}: row {row + 1} has {name} {table[name][row]}, but {scored.path} has "
                f"{scored.table[name][row]}; embeddings must be of the same rows in the same order"
            )
    lists = table[COLUMN].cast(pl.List(pl.Float64))
    sizes = lists.list.len().fill_null(0)
    if sizes.n_unique() != 1 or sizes[0] == 0:
        row = int((sizes != sizes[0]).arg_max() or 0)
        raise UserError(
            f"{path}: row {row + 1} has {sizes[row]} numbers, row 1 has {sizes[0]}; embeddings "
            "must be of one length"
        )
    values = lists.explode().to_numpy()
    return values.reshape(len(table), int(sizes[0]))
