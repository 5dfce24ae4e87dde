"""Datasets as the stock writer makes them, read as the stock reader reads them."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stock_shards import ENCODINGS, assert_equal, stock_samples, write
from streaming import MDSWriter, StreamingDataset

from glm_composer.data import rows as rows_module
from glm_composer.data.index import DamagedFile, read_index
from glm_composer.data.rows import map_shard
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("compression", [None, "zstd:3", "gz", "bz2:1", "br:3", "snappy"])
def test_what_the_stock_reader_reads(encoding, compression, tmp_path):
    hashes = ["sha256", "xxh3_64"]
    out = write(tmp_path / "d", encoding, 120, 25, compression=compression, hashes=hashes)
    shards = Shards(out, validate_hash=True)
    assert len(shards.counts) >= 3
    assert shards.length == (40 if encoding.endswith("40") else None)
    ids = np.random.default_rng(1).permutation(120)
    rows = shards.gather(ids)
    samples = list(stock_samples(out))
    assert_equal(rows, [samples[number] for number in ids])


@pytest.mark.parametrize("encoding", ["ndarray:uint8:40", "str"])
def test_what_a_stock_dataset_yields(encoding, tmp_path):
    out = write(tmp_path / "d", encoding, 90, 20, compression="zstd", hashes=["sha1"])
    copy = shutil.copytree(out, tmp_path / "stock")
    stock = StreamingDataset(local=str(copy), shuffle=True, shuffle_seed=5, batch_size=10)
    ids = np.random.default_rng(2).permutation(90)
    assert_equal(Shards(out).gather(ids), [stock[int(number)] for number in ids])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Shards of random sizes in each encoding, with the stock reader's samples."""
    found = []
    for number, encoding in enumerate(ENCODINGS):
        for per_shard, longest in ((1, 3), (7, 50), (40, 400)):
            path = tmp_path_factory.mktemp("many") / "d"
            write(path, encoding, 61, per_shard, longest, seed=number)
            found.append((Shards(path), list(stock_samples(path))))
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_batch_of_any_dataset(many, data):
    shards, samples = data.draw(st.sampled_from(many))
    ids = data.draw(st.lists(st.integers(0, len(samples) - 1), max_size=50))
    rows = shards.gather(np.array(ids, dtype=np.int64))
    assert_equal(rows, [samples[number] for number in ids])


def test_an_empty_batch_and_the_whole_split(many):
    for shards, samples in many:
        assert len(shards.gather(np.array([], dtype=np.int64))) == 0
        assert_equal(shards.gather(), samples)


def test_a_damaged_row_of_varying_length(tmp_path):
    out = write(tmp_path / "d", "bytes", 30, 100)
    samples = list(stock_samples(out))
    file = out / "shard.00000.mds"
    index = read_index(out)
    shard = map_shard(file, index, 30)
    data = bytearray(file.read_bytes())
    data[int(shard.offsets[11])] ^= 64  # the size of its first column
    file.write_bytes(data)
    shards = Shards(out)
    assert_equal(shards.gather(np.array([10])), samples[10:11])
    with pytest.raises(UserError, match=r"shard\.00000\.mds: row 11 is damaged: its sizes do not"):
        shards.gather(np.array([10, 11, 12]))


def test_damaged_offsets_of_varying_lengths(tmp_path):
    out = write(tmp_path / "d", "str", 30, 100)
    file = out / "shard.00000.mds"
    data = bytearray(file.read_bytes())
    data[4 * 12 + 3] ^= 255
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"shard\.00000\.mds: not the shard its index describes"):
        Shards(out).gather(np.array([1]))


def test_an_array_of_two_axes_is_not_a_sequence(tmp_path):
    out = tmp_path / "d"
    with MDSWriter(columns={"sequence": "ndarray:uint8"}, out=str(out)) as writer:
        for axes in ((5,), (5, 2)):
            writer.write({"sequence": np.zeros(axes, np.uint8)})
    shards = Shards(out)
    assert shards.gather(np.array([0]))["length"] == [5]
    with pytest.raises(UserError, match="row 1: 'sequence' is not an array of one axis"):
        shards.gather(np.array([0, 1]))


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_flipped_byte_is_found_when_asked(tmp_path):
    out = write(tmp_path / "d", "ndarray:uint8:40", 100, 30, hashes=["sha256"])
    flip(out / "shard.00001.mds", -100)
    Shards(out).gather()  # sizes and columns fit, and nobody asked
    shards = Shards(out, validate_hash=True)
    shards.gather(np.arange(10))
    with pytest.raises(UserError, match=r"shard\.00001\.mds: its sha256 is .*: the file is damag"):
        shards.gather()


@pytest.mark.slow
@pytest.mark.parametrize("hashes", [None, ["xxh64"]])
@pytest.mark.parametrize("compression", ["zstd:3", "gz", "bz2", "br"])
def test_damaged_compressed_shards(hashes, compression, tmp_path):
    out = write(
        tmp_path / "d", "ndarray:uint8:40", 100, 30, compression=compression, hashes=hashes
    )
    stored = sorted(out.glob("shard.00001.mds.*"))[0]
    data = stored.read_bytes()
    stored.write_bytes(data[:-20])
    with pytest.raises(UserError, match=rf"{stored.name}: {len(data) - 20} bytes, but its index"):
        Shards(out)
    # Of the same size, so that only the hash or the decompressor can tell.
    stored.write_bytes(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2))
    with pytest.raises(DamagedFile, match=stored.name):
        Shards(out).gather()
    assert sorted(file.name for file in out.glob(".*")) == []


def test_hashes_that_are_not_there_cannot_be_checked(tmp_path):
    out = write(tmp_path / "d", "bytes", 10, 30)
    with pytest.raises(UserError, match=r"index\.json: has no hashes that validate_hash could"):
        Shards(out, validate_hash=True)


def test_batches_are_gathered_without_a_loop_over_rows(many, monkeypatch):
    """One look at a shard for all of its rows in a batch."""
    shards, samples = many[-2]
    looks = []
    by_shard = rows_module.by_shard

    def count(*arguments):
        order, parts = by_shard(*arguments)
        looks.extend(parts)
        return order, parts

    monkeypatch.setattr(rows_module, "by_shard", count)
    shards.gather(np.zeros(1000, dtype=np.int64) + np.arange(1000) % len(samples))
    assert len(looks) == len(shards.counts)


def test_rows_of_an_index(many):
    for shards, _ in many:
        assert (shards.row is None) == (shards.length is None)
        encoding = read_index(shards.path).column_encodings[-3]
        assert shards.length == (40 if encoding.endswith(":40") else None)


def test_auto_compares_what_has_hashes(tmp_path):
    hashed = write(tmp_path / "d", "ndarray:uint8:40", 100, 30, hashes=["sha256"])
    flip(hashed / "shard.00001.mds", -100)
    with pytest.raises(UserError, match=r"shard\.00001\.mds: its sha256 is .*: the file is damag"):
        Shards(hashed, validate_hash="auto").gather()
    bare = write(tmp_path / "e", "ndarray:uint8:40", 100, 30)
    assert len(Shards(bare, validate_hash="auto").gather()) == 100
