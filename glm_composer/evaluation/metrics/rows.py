"""What a metric is given and what it gives back."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError


class Estimate(NamedTuple):
    """A figure and its standard error, NaN where that is not known."""

    value: float
    se: float = math.nan


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredRows:
    """Variants with one score; what the table does not tell is None.

    Attributes:
        score: float64 [n], higher = more likely positive.
        label: 0/1 or bool [n].
        chrom: names [n].
        match_group: names or numbers [n]: a positive and the controls matched to it.
        quantity: a measured quantity, float64 [n].
    """

    score: NDArray[np.float64]
    label: NDArray[Any] | None = None
    chrom: NDArray[Any] | None = None
    match_group: NDArray[Any] | None = None
    quantity: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.score)

    def take(self, keep: NDArray[Any]) -> "ScoredRows":
        """The rows that a mask [n] or indices [m] choose."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: v[keep] for k, v in columns.items() if v is not None})


def scored_rows(
    table: pl.DataFrame, score: ArrayLike, *, quantity: str | None = None
) -> ScoredRows:
    """Put a score beside what a table [n rows] tells of its variants.

    Args:
        table: with any of `label`, `chrom` and `match_group`.
        score: [n], higher = more likely positive.
        quantity: column of a measured quantity; if that is `label`, there are no labels.

    Raises:
        UserError: an empty cell in one of these columns.
    """
    wanted = ("label", "chrom", "match_group", quantity)
    present = [name for name in wanted if name in table.columns]
    for name in present:
        empty = table[name].is_null()
        if empty.any():
            raise UserError(
                f"variant table: column '{name}' is empty in row {int(empty.arg_max() or 0) + 1} "
                f"({empty.sum()} of {len(table)} rows); fill it or leave the rows out"
            )
    columns = {name: table[name].to_numpy() for name in present}
    measured = columns.pop(quantity) if quantity else None
    return ScoredRows(
        score=np.asarray(score, dtype=np.float64),
        quantity=None if measured is None else measured.astype(np.float64),
        **columns,
    )
