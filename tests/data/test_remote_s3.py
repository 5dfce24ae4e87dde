"""Shards from a real S3 server, also when it is slow, busy, broken or gone."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from loopback_s3 import BUCKET, CREDENTIALS, Proxy, client, s3_server, upload
from stock_shards import assert_equal, stock_samples, write

from glm_composer.data import remote as remote_module
from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.mixture import MixedDataset, MixedWindows, Mixture, Proportion
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream
from glm_composer.errors import UserError


@pytest.fixture(scope="module")
def server():
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """200 rows in some eight compressed shards, with hashes."""
    out = tmp_path_factory.mktemp("stock") / "train"
    return write(out, "ndarray:uint8:40", 200, 25, compression="zstd:3", hashes=["sha256"])


@pytest.fixture(scope="module")
def samples(dataset, tmp_path_factory):
    return list(stock_samples(unpacked(dataset, tmp_path_factory.mktemp("raw") / "train")))


def unpacked(dataset, cache):
    Shards(cache, remote=str(dataset)).gather()
    return cache


@pytest.fixture(scope="module")
def raw_dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("stock") / "raw", "bytes", 90, 25)


@pytest.fixture(scope="module")
def remote(server, dataset):
    return upload(server, dataset, "dataset/train")


@pytest.fixture(scope="module")
def raw_remote(server, raw_dataset):
    return upload(server, raw_dataset, "dataset/raw")


@pytest.fixture
def proxy(server, monkeypatch):
    """What the tests' clients talk to; waits between attempts are short."""
    proxy = Proxy(server)
    for name, value in {**CREDENTIALS, "S3_ENDPOINT_URL": proxy.address}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote_module, "_FIRST_WAIT_S", 0.02)
    yield proxy
    proxy.stop()


class Times:
    """A fault for the first requests of one file."""

    def __init__(self, part, count, fault):
        self.part, self.count, self.fault = part, count, fault

    def __call__(self, path):
        if self.part not in path or self.count == 0:
            return None
        self.count -= 1
        return self.fault


def test_reads_compressed_shards_each_once(remote, samples, proxy, tmp_path):
    shards = Shards(tmp_path / "cache", remote=remote)
    ids = np.random.default_rng(0).permutation(200)
    for part in np.split(ids, 10):
        assert_equal(shards.gather(part), [samples[number] for number in part])
    assert len(proxy.seen) == len(set(proxy.seen)) == len(shards.counts) + 1
    assert all(name.endswith((".zstd", "index.json")) for name in proxy.seen)
    Shards(tmp_path / "cache", remote=remote).gather()
    assert len(proxy.seen) == len(shards.counts) + 2, "only the index is looked at again"


def test_reads_raw_shards_of_varying_lengths(raw_remote, raw_dataset, proxy, tmp_path):
    shards = Shards(tmp_path / "cache", remote=raw_remote, download_timeout=5)
    shards.prefetch(np.arange(90))
    assert_equal(shards.gather(), list(stock_samples(raw_dataset)))
    assert len(proxy.seen) == len(shards.counts) + 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", [503, ("cut", 100), "stall"], ids=lambda fault: str(fault))
def test_recovers(fault, remote, samples, proxy, tmp_path, caplog):
    shards = Shards(tmp_path / "cache", remote=remote, download_timeout=0.7)
    proxy.fault = Times("shard.00001", 1 if fault == "stall" else 3, fault)
    assert_equal(shards.gather(), samples)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (1 if fault == "stall" else 3)
    assert "shard.00001.mds.zstd: attempt 1 of 7 failed, the next is in 0." in warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [500, ("cut", 0)], ids=lambda fault: str(fault))
def test_gives_up_naming_the_object(fault, remote, proxy, tmp_path):
    shards = Shards(tmp_path / "cache", remote=remote, download_retry=4)
    proxy.fault = Times("shard.00001", -1, fault)
    expected = rf"^{remote}/shard\.00001\.mds\.zstd: cannot be fetched: 4 attempts failed, the la"
    with pytest.raises(UserError, match=expected) as raised:
        shards.gather()
    assert "\n" not in str(raised.value)
    assert proxy.count("shard.00001") == 4
    assert not list((tmp_path / "cache").glob(".*"))
    # The job that is started again goes on from there.
    proxy.fault = lambda path: None
    Shards(tmp_path / "cache", remote=remote).gather()
    assert proxy.count("shard.00000") == 1


def test_waits_grow(remote, proxy, tmp_path):
    before = random.getstate()
    shards = Shards(tmp_path / "cache", remote=remote, download_retry=5)
    proxy.fault = Times("shard.00001", -1, 503)
    start = time.monotonic()
    with pytest.raises(UserError):
        shards.gather()
    assert time.monotonic() - start >= 0.75 * 0.02 * (1 + 2 + 4 + 8)
    assert random.getstate() == before, "a training run would not be reproducible"


def test_a_server_that_is_gone(remote, proxy, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("S3_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(UserError, match=rf"^{remote}/index\.json: .* 2 attempts failed, .*Connec"):
        Shards(tmp_path / "cache", remote=remote, download_retry=2)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"s3://{BUCKET}/nothing/here", "NoSuchKey"),
        ("s3://no-such-bucket/train", "NoSuchBucket"),
        ("s3://a b/train", "bucket name"),
    ],
)
def test_what_no_second_attempt_mends(address, reason, proxy, tmp_path):
    with pytest.raises(UserError, match=rf"^{address}/index\.json: .*{reason}"):
        Shards(tmp_path / "cache", remote=address)
    assert len(proxy.seen) <= 1


def test_access_denied(remote, proxy, tmp_path):
    proxy.fault = lambda path: 403
    with pytest.raises(
        UserError, match=r"index\.json: cannot be fetched: .*check the address, the"
    ):
        Shards(tmp_path / "cache", remote=remote)
    assert len(proxy.seen) == 1


def test_a_public_bucket_needs_no_credentials(
    server, dataset, samples, proxy, tmp_path, monkeypatch
):
    address = upload(server, dataset, "public/train", access="public-read")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert_equal(Shards(tmp_path / "cache", remote=address).gather(), samples)


@pytest.mark.slow
def test_a_byte_flipped_on_the_way_is_fetched_again(remote, samples, proxy, tmp_path):
    shards = Shards(tmp_path / "cache", remote=remote)
    proxy.fault = Times("shard.00001", 1, ("flip", 500))
    assert_equal(shards.gather(), samples)
    assert proxy.count("shard.00001") == 2


@pytest.mark.slow
def test_a_byte_flipped_for_good(remote, proxy, tmp_path):
    shards = Shards(tmp_path / "cache", remote=remote)
    proxy.fault = Times("shard.00001", -1, ("flip", 500))
    with pytest.raises(UserError, match=rf"^{remote}/shard\.00001\.mds\.zstd: its sha256 is"):
        shards.gather()
    assert proxy.count("shard.00001") == 2
    assert "shard.00001.mds" not in os.listdir(tmp_path / "cache")


@pytest.mark.slow
def test_an_object_replaced_by_another(server, dataset, proxy, tmp_path):
    address = upload(server, dataset, "replaced/train")
    shards = Shards(tmp_path / "cache", remote=address)
    shards.gather(np.arange(10))
    last = f"shard.{len(shards.counts) - 1:05}.mds.zstd"
    other = (dataset / "shard.00000.mds.zstd").read_bytes()
    client(server).put_object(Bucket=BUCKET, Key=f"replaced/train/{last}", Body=other)
    with pytest.raises(UserError, match=rf"^{address}/{last}: "):
        shards.gather()


SUM = """
import sys
from pathlib import Path
from glm_composer.data.shards import Shards
print(int(Shards(Path(sys.argv[1]), remote=sys.argv[2]).gather()["sequence"].sum()))
"""


def start_reader(cache, remote, **environment):
    command = [sys.executable, "-c", SUM, str(cache), remote]
    env = {**os.environ, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def wait_until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


@pytest.mark.slow
def test_ranks_of_a_node_fetch_each_shard_once(remote, samples, proxy, tmp_path):
    ranks = [start_reader(tmp_path / "cache", remote, LOCAL_RANK=str(rank)) for rank in range(3)]
    found = {rank.communicate(timeout=60)[0] for rank in ranks}
    expected = sum(int(sample["sequence"].sum()) for sample in samples)
    assert found == {f"{expected}\n"}
    assert proxy.count("index.json") <= 2  # by whoever comes first, and by rank 0 to compare
    shards = [path for path in proxy.seen if "shard" in path]
    assert len(shards) == len(set(shards)) == len(Shards(tmp_path / "cache", remote=remote).counts)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["index.json", "shard.00001"])
@pytest.mark.parametrize("waits", [True, False], ids=["another waits", "later start"])
def test_killed_in_the_middle_of_a_download(waits, part, remote, samples, proxy, tmp_path):
    cache = tmp_path / "cache"
    proxy.fault = Times(part, 1, ("pause", 200))
    killed = start_reader(cache, remote)
    wait_until(lambda: proxy.count(part) == 1)
    if waits:
        # It must take over when the other one dies.
        waiting = start_reader(cache, remote)
        time.sleep(0.5)
        assert waiting.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if not waits:
        assert list(cache.glob(".*lock")), "killed too late"
        waiting = start_reader(cache, remote)
    expected = sum(int(sample["sequence"].sum()) for sample in samples)
    assert waiting.communicate(timeout=60)[0] == f"{expected}\n"
    assert not list(cache.glob(".*"))
    assert proxy.count("shard.00000") == 1


def test_the_path_of_a_split_in_the_bucket_itself(server, dataset, samples, proxy, tmp_path):
    s3 = client(server)
    s3.create_bucket(Bucket="whole")
    for file in dataset.iterdir():
        if file.suffix in (".json", ".zstd"):
            s3.put_object(Bucket="whole", Key=file.name, Body=Path(file).read_bytes())
    assert_equal(Shards(tmp_path / "cache", remote="s3://whole/").gather(), samples)


BATCH = 24
# The second comes in over the first ten batches; each stream begins a new epoch some time.
PROPORTIONS = [Proportion((0,), (2.0,)), Proportion((0, 10), (0.0, 1.0)), Proportion((0,), (1.0,))]


def mixed(shards, place):
    """A mixture of splits that looks eight batches ahead."""
    streams = [Stream(each.counts, 5) for each in shards.values()]
    source = Mixture(streams, PROPORTIONS, BATCH, 480, ahead=8)
    dealer = GlobalBatches(source, BATCH, place)
    return dealer, MixedDataset(MixedWindows(shards, source.starts), dealer)


def batches(dealer, dataset, count):
    """Each window of the next batches: stream, id, epoch, bases."""
    found = []
    while len(found) < count:  # over an epoch's end
        for ids in dealer:
            batch = dataset[ids]
            bases = [row.tobytes() for row in batch["sequence"]]
            lengths = batch["length"].tolist()
            told = (batch["stream"].tolist(), batch["id"].tolist(), batch["epoch"].tolist())
            bases = [each[:length] for each, length in zip(bases, lengths, strict=True)]
            found.append([*zip(*told, bases, strict=True)])
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize(
    "limit", [None, pytest.param(2, marks=pytest.mark.slow)], ids=["all stays", "room for two"]
)
def test_a_mixture_of_remote_streams_resumed_in_the_middle(
    limit, remote, raw_remote, dataset, raw_dataset, split, proxy, tmp_path
):
    here = {"a": unpacked(dataset, tmp_path / "a"), "b": raw_dataset, "c": split}
    expected = batches(*mixed({name: Shards(path) for name, path in here.items()}, Place()), 25)
    proxy.seen.clear()
    remotes = {"a": remote, "b": raw_remote, "c": f"file://{split}"}

    def fetched(cache):
        largest = {n: max(f.stat().st_size for f in p.glob("*.mds")) for n, p in here.items()}
        return {
            name: Shards(
                tmp_path / cache / name,
                remote=address,
                # A compressed shard takes its place as well while it is unpacked.
                cache_limit=limit and 2 * limit * largest[name],
            )
            for name, address in remotes.items()
        }

    dealer, dataset_ = mixed(fetched("first"), Place())
    assert batches(dealer, dataset_, 9) == expected[:9]
    state = dataset_.state_dict(9 * BATCH, True)
    # Two ranks go on, on another machine, with nothing in its cache.
    shares = []
    for rank in range(2):
        dealer, dataset_ = mixed(fetched("second"), Place(rank, 2, 2))
        dataset_.load_state_dict(state)
        shares.append(batches(dealer, dataset_, 16))
    for whole, *parts in zip(expected[9:], *shares, strict=True):
        assert sorted([*parts[0], *parts[1]]) == sorted(whole)
    found = [path for path in proxy.seen if "shard" in path]
    if limit is None:
        assert len(found) <= 2 * len(set(found)), "each shard once a cache"
    else:
        assert len(found) > 2 * len(set(found)), "room was made again and again"
        for path in (tmp_path / "second").glob("*"):
            room = 2 * limit * max(f.stat().st_size for f in here[path.name].glob("*.mds"))
            assert sum(f.stat().st_size for f in path.glob("*.mds")) <= room
