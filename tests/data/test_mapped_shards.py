"""Mapped shards: the rows that were written, and one line about every file that is not right."""

import dataclasses
import json
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming.base.format.mds import MDSReader

from glm_composer.conversion.manifest import read_manifest
from glm_composer.data.columns import check_split
from glm_composer.data.index import read_index
from glm_composer.data.rows import map_shard, rows_of
from glm_composer.data.shards import Shards
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
    entry = json.loads((split / "index.json").read_text())["shards"][2]
    reader = MDSReader.from_json(str(split), None, entry)
    rows = Shards(split).gather(2 * 97 + np.arange(reader.samples))
    for at in (0, 1, 50, reader.samples - 1):
        sample = reader[at]
        assert np.array_equal(sample.pop("sequence"), rows[at]["sequence"])
        assert {name: int(value) for name, value in sample.items()} == {
            name: int(rows[at][name]) for name in ("contig", "start", "strand")
        }


def test_row_types(split):
    index = dataclasses.replace(
        read_index(split),
        column_names=("a", "b", "c", "d"),
        column_encodings=("uint32", "ndarray:uint8:2,3", "int8", "int"),
    )
    row = rows_of(index).row
    assert row == np.dtype([("a", "<u4"), ("b", "u1", (2, 3)), ("c", "i1"), ("d", "<i8")])
    assert row.itemsize == 4 + 6 + 1 + 8


@pytest.mark.parametrize(
    "encoding",
    ["ndarray", "ndarray:uint16", "ndarray:x:3", "ndarray:uint8:0", "pkl", "json", "str_int"],
)
def test_sequences_that_are_no_bytes_are_refused(copy, encoding):
    def change(shards):
        for shard in shards:
            shard["column_encodings"][1] = encoding

    edit_index(copy, change)
    with pytest.raises(UserError, match=f"copy: column 'sequence' is '{encoding}'; it can be"):
        Shards(copy)


def test_a_missing_shard(copy):
    (copy / "shard.00003.mds").unlink()
    with pytest.raises(UserError, match=r"shard\.00003\.mds: cannot read shard: No such file"):
        Shards(copy)


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_truncated_shard(copy, size):
    file = copy / "shard.00007.mds"
    data = file.read_bytes()
    file.write_bytes(data[:size])
    expected = rf"shard\.00007\.mds: {len(data[:size])} bytes, but its index says {len(data)}"
    with pytest.raises(UserError, match=expected):
        Shards(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shards: shards.clear(), "lists no shards"),
        (lambda shards: shards[1].pop("samples"), "shard 1 is not described"),
        (lambda shards: shards[1].update(samples=2**70), "shard 1 is not described"),
        (lambda shards: shards[1].update(samples=9.5), "shard 1 is not described"),
        (lambda shards: shards[0].pop("column_encodings"), "shard 0 is not described"),
        (lambda shards: shards[2].update(raw_data=None), "shard 2 is not described"),
        (lambda shards: shards[2].update(format="csv"), "shard 2 is not described"),
        (lambda s: s[1]["raw_data"].update(basename="../x"), "shard 1 is not described"),
        (lambda s: s[3]["column_names"].reverse(), "shard 3 has other columns than shard 0"),
    ],
)
def test_an_index_that_is_not_one(copy, change, message):
    edit_index(copy, change)
    with pytest.raises(UserError, match=rf"index\.json: {message}"):
        Shards(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read"),
        ('{"shards": [', "cannot read"),
        ("[]", "not the index of MDS shards"),
        ('{"shards": 1}', "not the index of MDS shards"),
    ],
)
def test_an_index_that_is_not_json(copy, text, message):
    (copy / "index.json").write_text(text)
    with pytest.raises(UserError, match=rf"index\.json: {message}"):
        read_index(copy)


@settings(max_examples=150, deadline=None, database=None)
@given(
    at=st.floats(0, 1),
    gone=st.integers(0, 40),
    put=st.binary(max_size=4) | st.sampled_from([b'"', b"-1", b"null", b"[]", b"1e99", b"{"]),
    manifest=st.booleans(),
)
def test_any_damage_to_an_index_or_a_manifest_is_one_line(
    at, gone, put, manifest, yeast, tmp_path_factory
):
    whole = (yeast / ("manifest.json" if manifest else "train/index.json")).read_bytes()
    path = tmp_path_factory.mktemp("any")
    place = int(at * len(whole))
    damaged = whole[:place] + put + whole[place + gone :]
    file = path / ("manifest.json" if manifest else "index.json")
    file.write_bytes(damaged)
    message = ""
    try:
        # What a letter in a name should be, nobody can tell.
        _ = read_manifest(path) if manifest else read_index(path)
    except UserError as error:
        message = str(error)
    assert not message or message.startswith(str(file))
    assert "\n" not in message


def test_no_index(tmp_path):
    with pytest.raises(UserError, match=r"index\.json: no MDS shards there"):
        Shards(tmp_path)


def test_an_index_that_counts_otherwise_than_a_shard(copy):
    for samples in (96, 98):
        edit_index(copy, lambda shards, n=samples: shards[0].update(samples=n))
        with pytest.raises(UserError, match=rf"shard\.00000\.mds: not the shard .*{samples} rows"):
            Shards(copy).gather(np.array([5]))


@pytest.mark.parametrize(
    ("position", "encoding"), [(1, "ndarray:uint8:511"), (2, "uint64"), (1, "bytes")]
)
def test_an_index_that_has_other_columns_than_its_shards(copy, position, encoding):
    def change(shards):
        for shard in shards:
            shard["column_encodings"][position] = encoding

    edit_index(copy, change)
    with pytest.raises(UserError, match=r"shard\.00000\.mds: not the shard .*columns"):
        Shards(copy).gather(np.array([5]))


def test_rows_are_read_only(split):
    index = read_index(split)
    rows = rows_of(index).map(map_shard(split / "shard.00000.mds", index, 97))
    assert not rows.flags.writeable


def rewrite(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def replace(file):
    other = file.with_suffix(".new")
    other.write_bytes(file.read_bytes())
    other.replace(file)


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink])
def test_a_shard_that_changes_before_it_is_opened(copy, change):
    shards = Shards(copy)
    shards.gather(np.array([5]))
    change(copy / "shard.00002.mds")
    with pytest.raises(UserError, match=r"shard\.00002\.mds: was replaced or changed while"):
        shards.gather(np.array([5, 200]))


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink])
def test_a_shard_that_changes_while_it_is_read(copy, change):
    shards = Shards(copy)
    shards.gather()
    change(copy / "shard.00002.mds")
    start = time.monotonic()

    def go_on():
        while time.monotonic() < start + 5:
            shards.gather(np.array([5]))

    with pytest.raises(UserError, match=r"shard\.00002\.mds: was replaced or changed while"):
        go_on()
    assert time.monotonic() < start + 1


def test_a_thousand_open_files_are_not_needed(split, windows):
    """Every map holds a descriptor; there are more shards than that in a large dataset."""
    shards = Shards(split)
    shards._max_maps = 3
    ids = np.random.default_rng(1).integers(0, len(windows), 300)
    for part in np.split(ids, 10):
        assert np.array_equal(shards.gather(part), windows[part])
        assert len(shards._maps) <= 3


def test_shards_travel_to_another_process(split, windows):
    shards = Shards(split)
    shards.gather()
    sent = pickle.dumps(shards)
    assert len(sent) < 50_000
    assert np.array_equal(pickle.loads(sent).gather(), windows)


def test_an_index_that_disagrees_with_the_manifest(split):
    check_split(split, 700, 512)
    with pytest.raises(UserError, match=r"index\.json: windows of 512 bases, but .* says 500"):
        check_split(split, 700, 500)
    with pytest.raises(UserError, match=r"index\.json: 700 windows, but .* manifest says 699"):
        check_split(split, 699, 512)


def test_fingerprint_and_counts(split, copy):
    assert Shards(split).counts.tolist() == [97] * 7 + [21]
    before = Shards(copy).fingerprint
    assert before == Shards(split).fingerprint
    edit_index(copy, lambda shards: shards[1]["raw_data"].update(hashes={"md5": "0" * 32}))
    assert Shards(copy).fingerprint != before
