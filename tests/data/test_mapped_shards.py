"""Mapped shards: the rows that were written, and one line about every file that is not right."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from streaming.base.format.mds import MDSReader

from glm_composer.data.dataset import WindowDataset
from glm_composer.data.shards import Shards, map_shard, read_index, row_type
from glm_composer.errors import UserError


@pytest.fixture
def copy(split, tmp_path):
    """A copy of the split to damage."""
    return Path(shutil.copytree(split, tmp_path / "copy"))


def edit_index(path, change):
    file = path / "index.json"
    index = json.loads(file.read_text())
    change(index["shards"])
    file.write_text(json.dumps(index))


def test_rows_come_in_the_order_asked_for(split, windows):
    shards = Shards(split)
    assert len(shards) == len(windows)
    ids = np.random.default_rng(0).integers(0, len(windows), 500)
    assert np.array_equal(shards.gather(ids), windows[ids])
    assert len(shards.gather(ids[:0])) == 0


def test_both_sides_of_every_shard_boundary(split, windows):
    ids = np.concatenate([np.arange(97, 700, 97) + shift for shift in (-1, 0)])
    ids = np.concatenate([ids, [0, 699]])
    assert np.array_equal(Shards(split).gather(ids), windows[ids])


def test_rows_are_what_the_stock_reader_decodes(split, windows):
    entry = read_index(split)["shards"][2]
    reader = MDSReader.from_json(str(split), None, entry)
    rows = Shards(split).gather(2 * 97 + np.arange(reader.samples))
    for at in (0, 1, 50, reader.samples - 1):
        sample = reader[at]
        assert np.array_equal(sample.pop("sequence"), rows[at]["sequence"])
        assert {name: int(value) for name, value in sample.items()} == {
            name: int(rows[at][name]) for name in ("contig", "start", "strand")
        }


def test_row_types():
    names = ["a", "b", "c"]
    row = row_type(names, ["uint32", "ndarray:uint8:2,3", "int8"], Path("x"))
    assert row == np.dtype([("a", "<u4"), ("b", "u1", (2, 3)), ("c", "i1")])
    assert row.itemsize == 4 + 6 + 1


@pytest.mark.parametrize("encoding", ["str", "bytes", "ndarray", "ndarray:uint8", "pkl", "int"])
def test_columns_of_varying_size_are_refused(encoding):
    with pytest.raises(UserError, match=f"^x: column 'b' is '{encoding}'; only fixed sizes"):
        row_type(["a", "b"], ["int8", encoding], Path("x"))


# Training and held-out data alike, before any work is done.
OPENERS = [Shards, lambda path: WindowDataset(path, 16, 16, seed=1)]


@pytest.mark.parametrize("opener", OPENERS, ids=["held out", "training"])
def test_a_missing_shard(copy, opener):
    (copy / "shard.00003.mds").unlink()
    with pytest.raises(UserError, match=r"shard\.00003\.mds: cannot read shard: No such file"):
        opener(copy)


@pytest.mark.parametrize("opener", OPENERS, ids=["held out", "training"])
@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_truncated_shard(copy, opener, size):
    file = copy / "shard.00007.mds"
    data = file.read_bytes()
    file.write_bytes(data[:size])
    expected = rf"shard\.00007\.mds: {len(data[:size])} bytes, but its index says {len(data)}"
    with pytest.raises(UserError, match=expected):
        opener(copy)


@pytest.mark.parametrize("opener", OPENERS, ids=["held out", "training"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shards: shards.clear(), "lists no shards"),
        (lambda shards: shards[1].pop("samples"), "shard 1 is not described"),
        (lambda shards: shards[0].pop("column_encodings"), "shard 0 is not described"),
        (lambda shards: shards[2].update(raw_data=None), "shard 2 is not described"),
    ],
)
def test_an_index_that_is_not_one(copy, opener, change, message):
    edit_index(copy, change)
    with pytest.raises(UserError, match=rf"index\.json: {message}"):
        opener(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "cannot read"), ('{"shards": [', "cannot read"), ("[]", "lists no shards")],
)
def test_an_index_that_is_not_json(copy, text, message):
    (copy / "index.json").write_text(text)
    with pytest.raises(UserError, match=rf"index\.json: {message}"):
        read_index(copy)


def test_no_index(tmp_path):
    with pytest.raises(UserError, match=r"index\.json: no MDS shards there"):
        Shards(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda shard: shard.update(samples=96),
        lambda shard: shard.update(samples=98),
        lambda shard: shard["column_encodings"].__setitem__(1, "ndarray:uint8:511"),
    ],
    ids=["fewer rows", "more rows", "shorter rows"],
)
def test_an_index_that_disagrees_with_a_shard(copy, change):
    edit_index(copy, lambda shards: change(shards[0]))
    with pytest.raises(UserError, match=r"shard\.00000\.mds: not the shard its index describes"):
        Shards(copy).gather(np.array([5]))
    dataset = WindowDataset(copy, 16, 16, seed=1)
    with pytest.raises(UserError, match=r"shard\.00000\.mds: not the shard its index describes"):
        list(dataset)


def test_a_shard_that_shrinks_after_it_was_checked(copy):
    file = copy / "shard.00000.mds"
    row = Shards(copy).row
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"shard\.00000\.mds: not the shard"):
        map_shard(file, row, 97)


def test_shards_are_mapped_read_only(split):
    file = split / "shard.00000.mds"
    mapped = map_shard(file, Shards(split).row, 97)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
