"""Match groups that no rank within them is defined of, found before anything is measured."""

import numpy as np
import polars as pl

from glm_composer.evaluation.metrics.matched import lacking_group


def broken_group(
    label: pl.Series, match_group: pl.Series, chosen: pl.Series | None = None
) -> str | None:
    """Say what is wrong with a table's match groups, and what to do; None if they are whole.

    Args:
        label: bool [n].
        match_group: names or numbers [n].
        chosen: bool [n], the rows that are measured; None for all of them.

    Returns:
        The first row without a group, or the first group without a positive or without a control.
    """
    rows = np.arange(len(label)) if chosen is None else chosen.arg_true().to_numpy()
    groups = match_group.gather(rows)
    empty = groups.is_null()
    if empty.any():
        return (
            f"row {rows[empty.arg_max() or 0] + 1} has no match_group ({empty.sum()} of "
            f"{len(rows)} rows have none); fill it or rename the column"
        )
    names = groups.cast(pl.String).to_numpy().astype(str)
    lacking = lacking_group(label.gather(rows).to_numpy(), names, rows)
    if lacking is None:
        return None
    return (
        f"{lacking}; mend the groups, or rename the column to measure without mean reciprocal "
        "rank and pairwise accuracy"
    )
