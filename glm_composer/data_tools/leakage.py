"""What train knows of the held-out splits: exact copies, and windows much alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.leakage import window_hashes
from glm_composer.data_tools.kmers import K
from glm_composer.data_tools.near_duplicates import Nearest, find_nearest, scale_for
from glm_composer.data_tools.pairs import compare
from glm_composer.data_tools.progress import windows_bar
from glm_composer.data_tools.rows import Advance, Split, letters, open_splits, show
from glm_composer.errors import UserError

# Of copies that differ in 1, 5 and 10% of their bases, 0.1 finds 100, 100 and 92%.
THRESHOLD = 0.1
LEVELS = (0.9, 0.75, 0.5, 0.25, 0.1)
# Held-out windows whose sketches are in memory at a time: 650 MB. For each so many, train is read
# once: 21 s a million windows of 512 bases.
_HELD_OUT = 1 << 17
# Steps of the distribution.
_BINS = 100


@dataclass(frozen=True, kw_only=True)
class WorstPair:
    """A held-out window and the train window nearest to it.

    Attributes:
        held_out: where the held-out one lies, 0-based and half-open.
        held_out_id: its sample id.
        train: where the train window lies.
        train_id: its sample id.
        estimated: containment by sketch.
        containment: share of the held-out window's k-mers that are in the train window.
        overlap: bases on one another in the best alignment without gaps.
        identical: how many of them are equal.
        turned: whether the windows are alike on opposite strands.
    """

    held_out: str
    held_out_id: int
    train: str
    train_id: int
    estimated: float
    containment: float
    overlap: int
    identical: int
    turned: bool


@dataclass(frozen=True, kw_only=True)
class SplitLeakage:
    """What train knows of one held-out split.

    Attributes:
        split: its name.
        windows: how many it has.
        copies: those that train has base for base, on either strand, case apart.
        not_compared: those with too few k-mers: short, full of N or repeats.
        near: those of which a train window holds at least `threshold` of the k-mers.
        levels: containment -> how many reach it.
        at_least: for 0, 1, ... 100%, the share of the compared windows that reach it.
        worst: most alike first.
    """

    split: str
    windows: int
    copies: int
    not_compared: int
    near: int
    levels: dict[str, int]
    at_least: list[float]
    worst: list[WorstPair]


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """The whole report.

    Attributes:
        dataset: its name.
        created: when it was made, as its manifest says.
        train: the split that must not know the others.
        train_windows: how many it has.
        k: bases of a k-mer.
        scale: one in how many k-mers sketches hold.
        threshold: containment that counts as near.
        splits: the held-out ones.
    """

    dataset: str
    created: str
    train: str
    train_windows: int
    k: int
    scale: int
    threshold: float
    splits: list[SplitLeakage]


def find_leakage(
    directory: Path, train: str = "train", threshold: float = THRESHOLD, pairs: int = 10
) -> Leakage:
    """Compare every other split of a dataset with train.

    Args:
        directory: of the dataset.
        train: the split that must not know the others.
        threshold: containment from which on a window counts as near, in (0, 1].
        pairs: how many of the worst pairs to show for each split.

    Raises:
        UserError: no dataset, no such split, no other split, or a threshold out of range.
    """
    if not 0 < threshold <= 1:
        raise UserError(f"--threshold {threshold:g}: a containment lies in (0, 1]")
    splits = open_splits(directory)
    if train not in splits:
        raise UserError(f"{directory}: no split '{train}'; it has {', '.join(splits)}")
    known = splits.pop(train)
    if not splits:
        raise UserError(f"{directory}: no other split than '{train}' to compare with it")
    scale = scale_for(known.manifest.window_length)
    passes = sum(1 + -(-len(split.shards) // _HELD_OUT) for split in splits.values())
    with windows_bar("comparing with train", len(known.shards) * passes) as advance:
        found = [
            _compare_split(split, known, scale, threshold, pairs, advance)
            for split in splits.values()
        ]
    return Leakage(
        dataset=known.manifest.name,
        created=known.manifest.created,
        train=train,
        train_windows=len(known.shards),
        k=K,
        scale=scale,
        threshold=threshold,
        splits=found,
    )


def _compare_split(
    split: Split, train: Split, scale: int, threshold: float, pairs: int, advance: Advance
) -> SplitLeakage:
    parts = [
        find_nearest(
            (
                rows["sequence"]
                for rows in split.blocks(first, min(first + _HELD_OUT, len(split.shards)))
            ),
            (rows["sequence"] for rows in train.blocks(advance=advance)),
            scale,
        )
        for first in range(0, len(split.shards), _HELD_OUT)
    ]
    nearest = Nearest(
        np.concatenate([part.containment for part in parts]),
        np.concatenate([part.train for part in parts]),
    )
    compared = nearest.containment[~np.isnan(nearest.containment)]
    steps = np.linspace(0, 1, _BINS + 1)
    reached = len(compared) - np.searchsorted(np.sort(compared), steps)
    return SplitLeakage(
        split=split.name,
        windows=len(split.shards),
        copies=_count_copies(split, train, advance),
        not_compared=len(nearest.containment) - len(compared),
        near=int((compared >= threshold).sum()),
        levels={f"{level:g}": int((compared >= level).sum()) for level in LEVELS},
        at_least=(reached / max(1, len(compared))).tolist(),
        worst=_worst_pairs(split, train, nearest, pairs),
    )


def _count_copies(split: Split, train: Split, advance: Advance) -> int:
    # One half of a hash: odds of a false copy are 1 to a million for 10**13 pairs.
    held_out = np.concatenate([_hashes(rows) for rows in split.blocks()])
    distinct, counts = np.unique(held_out, return_counts=True)
    seen = np.zeros(len(distinct), dtype=bool)
    for rows in train.blocks(advance=advance):
        hashes = _hashes(rows)
        place = np.minimum(np.searchsorted(distinct, hashes), len(distinct) - 1)
        seen[place[distinct[place] == hashes]] = True
    return int(counts[seen].sum())


def _hashes(rows: NDArray[Any]) -> NDArray[np.uint64]:
    lengths = rows["length"] if "length" in (rows.dtype.names or ()) else None
    return window_hashes(rows["sequence"], lengths)[:, 0]


def _worst_pairs(split: Split, train: Split, nearest: Nearest, pairs: int) -> list[WorstPair]:
    # Estimates tie, so that more are compared in full than are shown.
    chosen = _most_alike(nearest, 4 * pairs)
    ours, theirs = split.shards.gather(chosen), train.shards.gather(nearest.train[chosen])
    found = []
    for window, our, their in zip(chosen.tolist(), ours, theirs, strict=True):
        likeness = compare(letters(our), letters(their))
        found.append(
            WorstPair(
                held_out=show(split.locus(our)),
                held_out_id=window,
                train=show(train.locus(their)),
                train_id=int(nearest.train[window]),
                estimated=float(nearest.containment[window]),
                **vars(likeness),
            )
        )
    return sorted(found, key=lambda pair: -pair.containment)[:pairs]


def _most_alike(nearest: Nearest, count: int) -> NDArray[np.int64]:
    candidates = np.flatnonzero(nearest.train >= 0)
    order = np.argsort(-nearest.containment[candidates], kind="stable")
    return candidates[order[:count]]
