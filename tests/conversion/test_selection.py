"""Who keeps a window, and who is drawn: against sets and sorted lists, however parts are cut."""

import numpy as np
import pytest

from glm_composer.conversion import selection
from glm_composer.conversion.parts import FACT, Part, PartWriter
from glm_composer.conversion.selection import (
    DROPPED,
    drop_duplicates,
    place,
    split_ranks,
    thin,
)
from glm_composer.conversion.shard_format import row_type

SPLITS = ("train", "validation", "test")


def parts_of(directory, facts, sizes):
    directory.mkdir()
    parts, first = [], 0
    for number, size in enumerate(sizes):
        path = directory / str(number)
        with PartWriter(path, 4) as part:
            rows = np.zeros(size, dtype=row_type(4))
            part.write(rows, facts[first : first + size])
        parts.append(Part(path))
        first += size
    return place(parts)


@pytest.fixture
def facts():
    """5,000 windows of which each occurs two and a half times."""
    rng = np.random.default_rng(3)
    facts = np.zeros(5_000, dtype=FACT)
    hashes = rng.integers(0, 2**64, (2_000, 2), dtype=np.uint64)
    facts["hash"] = hashes[rng.integers(0, 2_000, 5_000)]
    return facts


def test_held_out_splits_win_and_later_ones_before_earlier():
    ranks = split_ranks(["validation", "train_a", "test", "train_b"])
    assert ranks.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("bucket", [1 << 22, 100])
@pytest.mark.parametrize("sizes", [[5_000], [1, 0, 2_499, 2_500]])
def test_one_of_equals_stays_that_of_the_best_split(facts, bucket, sizes, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "_BUCKET", bucket)
    rng = np.random.default_rng(4)
    before = rng.choice([0, 1, 2, DROPPED], 5_000, p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8)
    after = before.copy()
    parts = parts_of(tmp_path / "parts", facts, sizes)
    within, across = drop_duplicates(parts, after, SPLITS)

    best: dict[bytes, tuple[int, int]] = {}
    for index, (fact, code) in enumerate(zip(facts, before, strict=True)):
        if code != DROPPED:
            key = fact["hash"].tobytes()
            best[key] = min(best.get(key, (9, 0)), (2 - int(code), index))
    kept = {index for _, index in best.values()}
    expected = [code if index in kept else DROPPED for index, code in enumerate(before)]
    assert after.tolist() == expected
    winners = [2 - best[f["hash"].tobytes()][0] if b != DROPPED else DROPPED
               for f, b in zip(facts, before, strict=True)]  # fmt: skip
    gone = (before != DROPPED) & (after == DROPPED)
    for code in range(3):
        same = np.array(winners) == code
        assert within[code] == (gone & (before == code) & same).sum()
        assert across[code] == (gone & (before == code) & ~same).sum() > (-1 if code == 2 else 0)


@pytest.mark.parametrize("draw", [0, 1])
@pytest.mark.parametrize("most", [0, 1, 700, 1_499, 1_500, 9_999])
def test_exactly_so_many_stay_the_same_ones_in_any_cut(facts, most, draw, tmp_path):
    before = np.repeat(np.array([0, 1, DROPPED], np.uint8), [1_500, 3_000, 500])
    keys = facts["hash"][:1_500, draw]
    lowest = set(np.argsort(keys, kind="stable")[:most].tolist())
    for name, sizes in (("one", [5_000]), ("many", [10, 90, 1_400, 3_000, 500])):
        after = before.copy()
        gone = thin(parts_of(tmp_path / name, facts, sizes), after, 0, most, draw)
        assert gone == max(0, 1_500 - most)
        assert set(np.flatnonzero(after == 0).tolist()) == lowest
        assert (after[1_500:] == before[1_500:]).all()
