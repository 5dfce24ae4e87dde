"""Shards that come from elsewhere, through a directory that several processes share."""

import contextlib
import gc
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from stock_shards import assert_equal, stock_samples, write

from glm_composer.data import remote as remote_module
from glm_composer.data.locks import try_lock
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError

ROWS = 97


@pytest.fixture(scope="module")
def packed(split, tmp_path_factory):
    """The same shards, each compressed with zstd, with hashes of both forms."""
    import hashlib

    import zstandard

    out = tmp_path_factory.mktemp("packed") / "train"
    out.mkdir()
    index = json.loads((split / "index.json").read_text())
    for shard in index["shards"]:
        name = shard["raw_data"]["basename"]
        raw = (split / name).read_bytes()
        data = zstandard.compress(raw)
        (out / f"{name}.zstd").write_bytes(data)
        shard["compression"] = "zstd:3"
        shard["raw_data"]["hashes"] = {"sha256": hashlib.sha256(raw).hexdigest()}
        shard["zip_data"] = {
            "basename": f"{name}.zstd",
            "bytes": len(data),
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
        }
    (out / "index.json").write_text(json.dumps(index))
    return out


@pytest.fixture(params=["raw", "packed"])
def source(request, split, packed):
    return split if request.param == "raw" else packed


def raw_bytes(split):
    return [shard["raw_data"]["bytes"] for shard in read_json(split / "index.json")["shards"]]


def read_json(file):
    return json.loads(file.read_text())


def names(directory):
    return sorted(file.name for file in directory.iterdir())


def used(directory):
    return sum(
        entry.stat().st_size for entry in os.scandir(directory) if entry.name[-4:] == ".mds"
    )


def wait_until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_fetched_once(source, windows, tmp_path):
    cache = tmp_path / "cache"
    shards = Shards(cache, remote=str(source), validate_hash=source.parent.name[:6] == "packed")
    assert names(cache) == ["index.json"]
    assert shards.fingerprint == Shards(source).fingerprint
    ids = np.random.default_rng(0).integers(0, len(windows), 400)
    assert np.array_equal(shards.gather(ids), windows[ids])
    before = {file: file.stat().st_ino for file in cache.glob("*.mds")}
    assert len(before) == 8
    again = Shards(cache, remote=str(source))
    assert np.array_equal(again.gather(), windows)
    assert {file: file.stat().st_ino for file in cache.glob("*.mds")} == before
    assert len(names(cache)) == 9, "something is left over"


def test_only_what_is_needed_is_fetched(source, windows, tmp_path):
    odd = tmp_path / "odd #1?"
    odd.symlink_to(source)
    shards = Shards(tmp_path / "cache", remote=f"file://{odd}/")
    assert np.array_equal(shards.gather(np.array([200])), windows[[200]])
    assert names(tmp_path / "cache") == ["index.json", "shard.00002.mds"]


def test_compressed_shards_that_lie_here(packed, windows, tmp_path):
    copy = Path(shutil.copytree(packed, tmp_path / "copy"))
    shards = Shards(copy)
    assert np.array_equal(shards.gather(), windows)
    assert len(list(copy.glob("*.zstd"))) == 8, "they are the only copy"
    stamps = [file.stat().st_mtime_ns for file in sorted(copy.glob("*.mds"))]
    # Decompressed once: the next start finds the raw shards.
    for file in copy.glob("*.zstd"):
        file.unlink()
    assert np.array_equal(Shards(copy).gather(), windows)
    assert len(stamps) == 8


def test_a_limit_holds_and_the_rows_are_right(source, windows, tmp_path):
    cache = tmp_path / "cache"
    limit = 3 * raw_bytes(source)[0] + 40_000
    shards = Shards(cache, remote=str(source), cache_limit=limit)
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = rng.integers(0, len(windows), 5)
        assert np.array_equal(shards.gather(ids), windows[ids])
        assert used(cache) <= limit
        # A map of a deleted file would keep its space.
        assert {shard for shard in shards._maps} <= {
            int(file.name[6:11]) for file in cache.glob("*.mds")
        }


def test_the_least_recently_used_shard_makes_room(split, windows, tmp_path):
    cache = tmp_path / "cache"
    shards = Shards(cache, remote=str(split), cache_limit=3 * raw_bytes(split)[0] + 100)
    for shard in (0, 1, 2):
        shards.gather(np.array([shard * ROWS]))
    past = time.time() - 100
    for age, shard in enumerate((1, 0, 2)):
        os.utime(cache / f"shard.0000{shard}.mds", (past + age, past + age))
    # Reading counts as use, also where the shard is mapped already.
    shards._next_check = 0
    shards.gather(np.array([ROWS]))
    shards._next_check = 0
    shards.gather(np.array([ROWS]))
    shards.gather(np.array([3 * ROWS]))
    assert [name[10] for name in names(cache) if name.endswith("mds")] == ["1", "2", "3"]


def test_the_window_is_spared(split, tmp_path):
    cache = tmp_path / "cache"
    shards = Shards(cache, remote=str(split), cache_limit=3 * raw_bytes(split)[0] + 100)
    shards.gather(np.array([0, ROWS, 2 * ROWS]))
    shards.prefetch(np.array([0, 5, ROWS]))  # the older ones
    shards.gather(np.array([3 * ROWS]))
    assert [name[10] for name in names(cache) if name.endswith("mds")] == ["0", "1", "3"]


def test_prefetching_goes_in_order_and_stops_at_the_limit(source, windows, tmp_path):
    cache = tmp_path / "cache"
    need = raw_bytes(source)[0]
    shards = Shards(cache, remote=str(source), cache_limit=3 * need + need // 2)
    ids = np.concatenate([np.arange(5 * ROWS, 5 * ROWS + 9), [0, 1], np.arange(3 * ROWS, 700)])
    start = time.monotonic()
    shards.prefetch(ids)
    assert time.monotonic() - start < 0.1
    wait_until(lambda: len(list(cache.glob("*.mds"))) == 3)
    wait_until(lambda: shards._prefetcher._thread is None)
    assert [name[10] for name in names(cache) if name.endswith("mds")] == ["0", "3", "5"]
    # Going on makes room for what comes next.
    shards.prefetch(ids[11:])
    wait_until(lambda: "shard.00004.mds" in names(cache))
    assert np.array_equal(shards.gather(ids[:40]), windows[ids[:40]])


def test_a_prefetched_shard_is_not_fetched_again(source, windows, tmp_path):
    cache, copy = tmp_path / "cache", Path(shutil.copytree(source, tmp_path / "copy"))
    shards = Shards(cache, remote=str(copy))
    shards.prefetch(np.arange(len(windows)))
    wait_until(lambda: len(list(cache.glob("*.mds"))) == 8)
    shutil.rmtree(copy)
    assert np.array_equal(shards.gather(), windows)


def test_what_ends_a_prefetch_is_told_when_the_shard_is_read(split, tmp_path):
    copy = Path(shutil.copytree(split, tmp_path / "copy"))
    shards = Shards(tmp_path / "cache", remote=str(copy))
    (copy / "shard.00001.mds").unlink()
    shards.prefetch(np.array([0, ROWS, 2 * ROWS]))
    wait_until(lambda: shards._prefetcher._thread is None)
    shards.gather(np.array([0]))
    with pytest.raises(UserError, match=r"copy/shard\.00001\.mds: cannot be fetched: not there"):
        shards.gather(np.array([ROWS]))


def test_prefetching_what_lies_here_starts_nothing(split):
    shards = Shards(split)
    shards.prefetch(np.arange(10))
    assert shards._prefetcher is None


def test_a_forked_loader_worker_prefetches_too(split, windows, tmp_path):
    """A thread does not survive a fork."""
    shards = Shards(tmp_path / "cache", remote=str(split))
    shards.prefetch(np.array([0]))
    wait_until(lambda: (tmp_path / "cache/shard.00000.mds").exists())
    shards._prefetcher._thread = dead = __import__("threading").Thread()
    child = os.fork()
    if child == 0:
        shards.prefetch(np.array([ROWS]))
        wait_until(lambda: (tmp_path / "cache/shard.00001.mds").exists())
        ok = np.array_equal(shards.gather(np.array([ROWS])), windows[[ROWS]])
        os._exit(0 if ok and shards._prefetcher._thread is not dead else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_limit_without_room(source, tmp_path):
    with pytest.raises(UserError, match=r"cache_limit \(1000 bytes\) has no room for the largest"):
        Shards(tmp_path, remote=str(source), cache_limit=1000)


def test_a_limit_of_nothing(split):
    with pytest.raises(UserError, match="nothing that cache_limit could limit; leave it out"):
        Shards(split, cache_limit=10**9)


def test_a_limit_smaller_than_a_batch_is_told_once(split, windows, tmp_path, caplog):
    shards = Shards(tmp_path, remote=str(split), cache_limit=2 * raw_bytes(split)[0])
    for _ in range(2):
        assert np.array_equal(shards.gather(), windows)
    (record,) = caplog.records
    assert "shards are fetched again and again; raise it" in record.getMessage()


def test_another_dataset_in_the_cache(split, packed, tmp_path):
    Shards(tmp_path, remote=str(split))
    with pytest.raises(UserError, match=r"index\.json: is not .*: this directory holds another"):
        Shards(tmp_path, remote=str(packed))
    assert names(tmp_path) == ["index.json"]


def test_only_the_first_rank_compares_the_index(split, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(split, tmp_path / "copy"))
    monkeypatch.setenv("LOCAL_RANK", "3")
    Shards(tmp_path / "cache", remote=str(copy))  # fetched by whoever comes first
    (copy / "index.json").unlink()
    Shards(tmp_path / "cache", remote=str(copy))
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(UserError, match=r"copy/index\.json: cannot be fetched"):
        Shards(tmp_path / "cache", remote=str(copy))


def test_a_cached_shard_of_another_size_is_fetched_again(split, windows, tmp_path):
    (tmp_path / "shard.00000.mds").write_bytes(b"half a shard")
    shards = Shards(tmp_path, remote=str(split))
    assert np.array_equal(shards.gather(np.arange(9)), windows[:9])


def test_a_damaged_remote_shard(packed, tmp_path):
    copy = Path(shutil.copytree(packed, tmp_path / "copy"))
    file = copy / "shard.00002.mds.zstd"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    shards = Shards(tmp_path / "cache", remote=str(copy))
    with pytest.raises(UserError, match=rf"^{file}: its sha256 is .* the file is damaged"):
        shards.gather()
    assert "shard.00002.mds" not in names(tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(".*"))


def test_a_shard_deleted_by_another_process_is_fetched_again(split, windows, tmp_path):
    shards = Shards(tmp_path, remote=str(split))
    shards.gather()
    for file in tmp_path.glob("*.mds"):
        file.unlink()
    # The maps still show the rows; their space is free after the next look.
    assert np.array_equal(shards.gather(), windows)
    shards._next_check = 0
    shards.gather(np.array([0]))
    assert set(shards._maps) == {0}
    assert np.array_equal(shards.gather(), windows)


@pytest.mark.parametrize("kind", ["raw", "packed"])
def test_no_space_left(kind, split, packed, tmp_path):
    """As a limit of file sizes, which fails like a full disk."""
    shards = Shards(tmp_path, remote=str(split if kind == "raw" else packed))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written: File too large; raise the limit"):
            shards.gather()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert names(tmp_path) == ["index.json"]
    shards.gather()


def test_a_full_disk(split, windows, tmp_path):
    size = 2 * raw_bytes(split)[0]
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        shards = Shards(tmp_path, remote=str(split))
        with pytest.raises(
            UserError, match=r"mds.*: cannot be written: No space left on device; free space, or"
        ):
            shards.gather()
        assert not list(tmp_path.glob(".*"))
        # What the message asks for: with a limit there is room for all, one after the other.
        del shards
        gc.collect()  # its maps hold the deleted files' space
        for file in tmp_path.glob("*.mds"):
            file.unlink()
        limited = Shards(tmp_path, remote=str(split), cache_limit=raw_bytes(split)[0] + 9_000)
        for first in range(0, 700, ROWS):
            ids = np.arange(first, min(first + ROWS, 700))
            assert np.array_equal(limited.gather(ids), windows[ids])
        del limited
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_directory_that_cannot_be_written(split, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/train/index\.json: cannot be written: Not a dir"):
        Shards(tmp_path / "file" / "train", remote=str(split))


def test_a_lock_nobody_holds_is_no_obstacle(split, windows, tmp_path):
    """What SIGKILL leaves: a lock file, a reservation of all the room, half a shard."""
    need = raw_bytes(split)[0]
    shards = Shards(tmp_path, remote=str(split), cache_limit=2 * need)
    for shard in (0, 5):
        (tmp_path / f".shard.0000{shard}.mds.part").write_bytes(b"half")
        with (tmp_path / f".shard.0000{shard}.mds.lock").open("wb") as lock:
            lock.truncate(2 * need)
    ids = np.array([0, ROWS, 2])
    assert np.array_equal(shards.gather(ids), windows[ids])
    assert not list(tmp_path.glob(".*"))


def test_a_holder_that_does_nothing(split, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_module.Remote, "patience", 0.3)
    shards = Shards(tmp_path, remote=str(split))
    lock = tmp_path / ".shard.00000.mds.lock"
    descriptor = try_lock(lock, create=True)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"shard\.00000\.mds\.lock: another process has held this"):
        shards.gather(np.array([0]))
    assert 0.3 < time.monotonic() - start < 2
    os.close(descriptor)
    shards.gather(np.array([0]))


def test_room_that_others_have_spoken_for(split, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_module.Remote, "patience", 0.3)
    need = raw_bytes(split)[0]
    shards = Shards(tmp_path, remote=str(split), cache_limit=2 * need)
    lock = tmp_path / ".shard.00005.mds.lock"
    descriptor = try_lock(lock, create=True)
    os.ftruncate(descriptor, 2 * need)
    assert not shards._cache.bring(0, urgent=False)
    with pytest.raises(UserError, match=r"cache_limit .* has had no room for .*shard\.00000\.mds"):
        shards.gather(np.array([0]))
    os.close(descriptor)
    shards.gather(np.array([0]))


READER = """
import sys, numpy as np
from glm_composer.data.shards import Shards
cache, source, limit, seed, expected = sys.argv[1:]
shards = Shards(cache and __import__("pathlib").Path(cache), remote=source,
                cache_limit=int(limit) or None)
windows = np.load(expected)
rng = np.random.default_rng(int(seed))
for _ in range(30):
    batches = rng.integers(0, len(windows), (4, 8))
    shards.prefetch(batches.ravel())
    for ids in batches:
        assert np.array_equal(shards.gather(ids), windows[ids])
"""


@pytest.mark.parametrize(
    "shards_of_room", [pytest.param(0, marks=pytest.mark.slow), 3], ids=["all", "three"]
)
def test_processes_that_share_a_cache(source, windows, tmp_path, shards_of_room):
    """No error, no wrong row, and the limit holds although each evicts what the others use."""
    np.save(tmp_path / "expected.npy", windows)
    cache = tmp_path / "cache"
    limit = shards_of_room * (raw_bytes(source)[0] + 25_000)
    given = [str(cache), str(source), str(limit)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", READER, *given, str(seed), str(tmp_path / "expected.npy")],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    largest = 0
    while any(process.poll() is None for process in processes):
        # A file may go between its listing and the look at its size.
        with contextlib.suppress(FileNotFoundError):
            largest = max(largest, used(cache))
        time.sleep(0.002)
    for process in processes:
        assert process.returncode == 0, process.communicate()[1]
        process.communicate()
    assert not list(cache.glob(".*"))
    if limit:
        assert largest <= limit
    else:
        assert len(list(cache.glob("*.mds"))) == 8


@pytest.mark.slow
def test_kill_at_any_moment(packed, windows, tmp_path):
    """Readers killed one after the other: the next always starts, and nothing is left."""
    np.save(tmp_path / "expected.npy", windows)
    cache = tmp_path / "cache"
    limit = str(3 * raw_bytes(packed)[0])
    given = [str(cache), str(packed), limit, "0", str(tmp_path / "expected.npy")]
    command = [sys.executable, "-c", READER, *given]
    for number in range(4):
        process = subprocess.Popen(command)
        wait_until(lambda: cache.exists() and len(names(cache)) > 1, 30)
        time.sleep(0.02 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, timeout=60)
    assert not list(cache.glob(".*"))


def test_other_addresses_go_to_streaming(packed, windows, tmp_path, monkeypatch):
    """Any downloader that Streaming has or that is registered with it."""
    from streaming.base.storage import download

    class Elsewhere(download.CloudDownloader):
        @staticmethod
        def _client_identifier():
            return "elsewhere"

        def _download_file_impl(self, remote, local, timeout):
            assert timeout == 9
            Path(local).with_name("more").touch()  # as the one for hf:// leaves things behind
            shutil.copy(remote.replace("elsewhere:/", str(packed.parent)), local)

        def clean_up(self):
            pass

    monkeypatch.setitem(download.DOWNLOADER_MAPPINGS, "elsewhere", Elsewhere)
    shards = Shards(tmp_path, remote="elsewhere://train", download_timeout=9)
    assert np.array_equal(shards.gather(), windows)
    assert len(names(tmp_path)) == 9
    monkeypatch.setattr(remote_module, "_FIRST_WAIT_S", 0.001)
    nowhere = r"elsewhere://nowhere/index\.json: cannot be fetched: FileNotFoundError"
    with pytest.raises(UserError, match=nowhere):
        Shards(tmp_path / "new", remote="elsewhere://nowhere", download_timeout=9)


def test_streaming_downloads_what_is_neither_s3_nor_here(tmp_path):
    with pytest.raises(
        UserError, match=r"ftp://x/index\.json: no such kind of address; known are"
    ):
        Shards(tmp_path, remote="ftp://x")


def test_cache_and_prefetch_of_varying_lengths(tmp_path):
    out = write(tmp_path / "d", "str", 80, 10, compression="zstd", hashes=["md5"])
    shards = Shards(tmp_path / "cache", remote=str(out))
    ids = np.random.default_rng(0).permutation(80)
    shards.prefetch(ids)
    rows = shards.gather(ids)
    samples = list(stock_samples(tmp_path / "cache"))
    assert_equal(rows, [samples[number] for number in ids])
