"""Parts of a variant table that are worth a figure of their own, and why others are not.

A stratum is made of positives and of the controls they were matched with, which is how TraitGym
cuts its own subsets. Nothing is left out in silence: what cannot be measured keeps its place and
says why.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Upper ends, in bp from the nearest transcription start site; TraitGym calls the first two bins
# together proximal.
TSS_BINS = (100, 1_000, 10_000, 100_000)
# Of positives, and of controls; of rows where there are no labels.
MINIMUM = 10
NONE_GIVEN = "(none given)"


@dataclass(frozen=True, eq=False, kw_only=True)
class Stratum:
    """Positives that share something, and the controls to tell them from.

    Attributes:
        column: of the table, which the positives share a value or bin of.
        name: of that value or bin.
        rows: indices into the table [m].
        positives: how many; 0 in a table without labels.
        controls: how many; all rows in a table without labels.
        reason: why it is not measured; empty if it is.
    """

    column: str
    name: str
    rows: NDArray[np.intp]
    positives: int
    controls: int
    reason: str


def strata(table: pl.DataFrame, *, labelled: bool) -> list[Stratum]:
    """Divide a table by `consequence` and by `tss_dist`, as far as it has these columns.

    Args:
        table: [n] rows; `label` 0/1 or bool where `labelled`. With `match_group`, the controls of
            a stratum are those of its positives' groups, without it all controls.
        labelled: whether rows are positives and controls; if not, a stratum is its rows.

    Returns:
        Consequences, the most frequent among positives first; then bins, nearest first.
    """
    found = []
    if "consequence" in table.columns:
        names = table["consequence"].cast(pl.String).fill_null(NONE_GIVEN).to_numpy()
        made = [_stratum(table, "consequence", v, names == v, labelled) for v in np.unique(names)]
        found += sorted(made, key=lambda s: (-(s.positives if labelled else s.controls), s.name))
    if "tss_dist" in table.columns:
        # Some tables sign the distance by the strand.
        bins = _tss_bins(table["tss_dist"].cast(pl.Float64).abs())
        found += [_stratum(table, "tss_dist", v, rows, labelled) for v, rows in bins if rows.any()]
    return found


def _tss_bins(distance: pl.Series) -> list[tuple[str, NDArray[np.bool_]]]:
    unknown = (distance.is_null() | distance.is_nan()).to_numpy()
    far = distance.fill_null(-1).to_numpy()
    place = np.searchsorted(TSS_BINS, far, side="left")
    names = [f"up to {TSS_BINS[0]:,} bp"]
    names += [f"over {a:,} to {b:,} bp" for a, b in pairwise(TSS_BINS)]
    names.append(f"over {TSS_BINS[-1]:,} bp")
    bins = [(name, (place == i) & ~unknown) for i, name in enumerate(names)]
    return [*bins, (NONE_GIVEN, unknown)]


def _stratum(
    table: pl.DataFrame, column: str, name: str, inside: NDArray[np.bool_], labelled: bool
) -> Stratum:
    if not labelled:
        count = int(inside.sum())
        reason = f"fewer than {MINIMUM} rows" if count < MINIMUM else ""
        rows = np.flatnonzero(inside)
        return Stratum(
            column=column, name=name, rows=rows, positives=0, controls=count, reason=reason
        )
    label = table["label"].cast(pl.Boolean).to_numpy()
    positive = inside & label
    if not positive.any():
        rows = np.flatnonzero(inside)
        return Stratum(
            column=column,
            name=name,
            rows=rows,
            positives=0,
            controls=len(rows),
            reason="no positive",
        )
    control = ~label
    if "match_group" in table.columns:
        groups = table["match_group"].filter(pl.Series(positive)).unique()
        control &= table["match_group"].is_in(groups.implode()).fill_null(False).to_numpy()
    positives, controls = int(positive.sum()), int(control.sum())
    scarce = [
        f"fewer than {MINIMUM} {what}"
        for count, what in ((positives, "positives"), (controls, "controls"))
        if count < MINIMUM
    ]
    return Stratum(
        column=column,
        name=name,
        rows=np.flatnonzero(positive | control),
        positives=positives,
        controls=controls,
        reason=" and ".join(scarce),
    )
