"""One pass over unmasked windows: a site's reference window is read once for all its alts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from glm_composer.evaluation.scores.readings import Indices, WindowPairs
from glm_composer.evaluation.scores.windows import Variants, distinct_rows

if TYPE_CHECKING:
    from glm_composer.evaluation.predict import Predictor


def read_pairs(
    predictor: Predictor, variants: Variants, batch_size: int
) -> Iterator[tuple[Indices, WindowPairs]]:
    """Yield rows and what the model makes of their windows, until each row was there once.

    Args:
        predictor: the model.
        variants: n of them, on one strand.
        batch_size: windows in memory at a time, those of both alleles counted; at least two are.
    """
    ref_ids, alt_ids = variants.with_base(variants.ref), variants.with_base(variants.alt)
    _, site_of = distinct_rows(ref_ids)
    # Alts of a site lie beside each other: they find its reference window in the same batch.
    order = np.argsort(site_of, kind="stable")
    sites = site_of[order]
    for begin, end in _blocks(np.diff(sites, prepend=-1) != 0, batch_size):
        rows = order[begin:end]
        _, first, ref_of_row = np.unique(sites[begin:end], return_index=True, return_inverse=True)
        ids = np.concatenate([ref_ids[rows[first]], alt_ids[rows]])
        hidden = predictor.hidden(ids).float()
        refs = len(first)
        tensor = hidden.new_tensor
        yield (
            rows,
            WindowPairs(
                # All alts of different sites, as nearly always: nothing to copy.
                hidden[:refs] if refs == len(rows) else hidden[:refs][ref_of_row],
                hidden[refs:],
                tensor(ref_ids[rows]).long(),
                tensor(alt_ids[rows]).long(),
                variants.position,
                predictor.causal,
                predictor.bases,
            ),
        )


def _blocks(new_site: np.ndarray, batch_size: int) -> Iterator[tuple[int, int]]:
    """Yield [begin, end) of variants whose windows fit a batch; `new_site` [n] costs one more."""
    windows = np.cumsum(1 + new_site)
    begin = 0
    while begin < len(windows):
        before = windows[begin] - 2  # the first variant of a block needs its reference window
        end = max(begin + 1, int(np.searchsorted(windows, before + batch_size, side="right")))
        yield begin, end
        begin = end
