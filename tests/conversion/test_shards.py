"""Our shards are streaming.MDSWriter's shards, byte for byte, and stock Streaming reads them."""

import filecmp
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from glm_composer.conversion.shard_format import ShardFormat, row_type
from glm_composer.conversion.shards import ShardWriter, cut
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError

LENGTH = 33


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    rows = np.empty(1000, dtype=row_type(LENGTH))
    rows["sequence"] = rng.choice(np.frombuffer(b"ACGTacgtN", np.uint8), (1000, LENGTH))
    rows["contig"] = rng.integers(0, 2**32, 1000, dtype=np.uint32)
    rows["start"] = rng.integers(0, 2**40, 1000)
    rows["strand"] = rng.choice(np.array([1, -1], np.int8), 1000)
    return rows


def rows_per_shard(shard_bytes, length=LENGTH):
    return ShardFormat(length=length, shard_bytes=shard_bytes).rows_per_shard()


def write(directory, table, shard_bytes, batch=170, threads=None, **options):
    form = ShardFormat(length=table["sequence"].shape[1], shard_bytes=shard_bytes, **options)
    writer = ShardWriter(directory, form, threads=threads)
    for first in range(0, len(table), batch):
        writer.write(table[first : first + batch])
    writer.finish()


@pytest.mark.slow
@pytest.mark.parametrize("shard_bytes", [2_000, 10_000, 1 << 20])
@pytest.mark.parametrize(
    ("batch", "options"),
    [
        (1, {}),
        (170, {"compression": "zstd:7", "hashes": ["sha1", "xxh64"]}),
        (1000, {"compression": "zstd"}),
    ],
)
@pytest.mark.parametrize("threads", [0, 2])
def test_files_equal_those_of_the_stock_writer(
    table, shard_bytes, batch, options, threads, tmp_path
):
    from streaming import MDSWriter

    with ThreadPoolExecutor(2) as pool:
        here = {"threads": pool} if threads else {}
        write(tmp_path / "ours", table, shard_bytes, batch, **options, **here)
    columns = {
        "sequence": f"ndarray:uint8:{LENGTH}",
        "contig": "uint32",
        "start": "int64",
        "strand": "int8",
    }
    with MDSWriter(
        columns=columns,
        out=str(tmp_path / "stock"),
        size_limit=shard_bytes,
        max_workers=1,
        **options,
    ) as stock:
        for row in table:
            stock.write({name: row[name] for name in columns})
    names = sorted(p.name for p in (tmp_path / "stock").iterdir())
    assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == names
    different = filecmp.cmpfiles(tmp_path / "ours", tmp_path / "stock", names, shallow=False)
    assert different == (names, [], [])


def test_stock_dataset_reads_them_in_order(table, tmp_path):
    from streaming import StreamingDataset

    write(tmp_path / "split", table, 10_000)
    dataset = StreamingDataset(local=str(tmp_path / "split"), batch_size=1)
    assert len(dataset) == len(table)
    for index in (0, 1, 499, 999):
        sample = dataset[index]
        assert (sample["sequence"] == table["sequence"][index]).all()
        for name in ("contig", "start", "strand"):
            assert sample[name] == table[name][index]


def test_shards_respect_their_size_and_rows_come_back(table, tmp_path):
    write(tmp_path / "s", table, 4_000)
    index = json.loads((tmp_path / "s/index.json").read_text())
    sizes = [(tmp_path / "s" / e["raw_data"]["basename"]).stat().st_size for e in index["shards"]]
    assert sizes == [e["raw_data"]["bytes"] for e in index["shards"]]
    assert max(sizes) <= 4_000 < max(sizes) + row_type(LENGTH).itemsize + 4
    assert {e["samples"] for e in index["shards"][:-1]} == {rows_per_shard(4_000)}
    assert (Shards(tmp_path / "s").gather() == table).all()
    picks = np.array([999, 0, 500, 500, 71])
    assert (Shards(tmp_path / "s").gather(picks) == table[picks]).all()


def test_reading_what_is_not_there(table, tmp_path):
    with pytest.raises(UserError, match=r"index\.json: no MDS shards there"):
        Shards(tmp_path)
    write(tmp_path / "s", table, 10_000)
    for index in (1000, -1):
        with pytest.raises(UserError, match=f"no sample {index}; there are 1,000, from 0"):
            Shards(tmp_path / "s").gather(np.array([5, index]))


def test_cut_takes_slices_with_their_positions():
    sequence = np.frombuffer(b"ACGTacgtNN", np.uint8)
    table = cut(sequence, np.array([0, 3, 6]), 4, contig=7, offset=100)
    assert [row.tobytes() for row in table["sequence"]] == [b"ACGT", b"Tacg", b"gtNN"]
    assert table["start"].tolist() == [100, 103, 106]
    assert table["contig"].tolist() == [7, 7, 7]
    assert table["strand"].tolist() == [1, 1, 1]
    assert len(cut(sequence[:2], np.empty(0, np.int64), 4, contig=0)) == 0


def test_a_window_that_does_not_fit_a_shard():
    assert rows_per_shard(500, 512) < 1 <= rows_per_shard(1000, 512)
