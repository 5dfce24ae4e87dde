"""Two users of one machine: what one has fetched or left behind does not stop the other."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from stock_shards import write

from glm_composer.data.shards import Shards

USERS = (54321, 54322)
# Imports come first: another user may not enter the folders that Python lies in.
READ = """
import os, sys, zstandard
from pathlib import Path
from glm_composer.data.shards import Shards
os.umask(0o022)
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
shards = Shards(Path(sys.argv[2]), remote=(sys.argv[3:] or [None])[0])
print(shards.gather()["sequence"].sum())
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for two users")


def as_user(user, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", READ, *map(str, (user, *arguments))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(*readers):
    outputs = [reader.communicate(timeout=60) for reader in readers]
    failed = [
        error for reader, (_, error) in zip(readers, outputs, strict=True) if reader.returncode
    ]
    assert not failed, failed
    return [int(output) for output, _ in outputs]


@pytest.fixture(scope="module")
def place():
    # pytest's own directories are closed to others.
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def packed(place):
    return write(place / "packed", "ndarray:uint8:40", 900, 50, compression="zstd")


@pytest.fixture(scope="module")
def total(packed, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return int(Shards(cache, remote=str(packed)).gather()["sequence"].sum(dtype=np.uint64))


@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=["open", "sticky"])
def test_at_once_into_one_directory(place, packed, total, mode):
    cache = place / f"cache{mode:o}"
    cache.mkdir()
    cache.chmod(mode)
    readers = [as_user(user, cache, packed) for user in USERS * 2]
    assert results(*readers) == [total] * 4
    owners = {file.stat().st_uid for file in cache.iterdir()}
    assert owners <= set(USERS)
    assert all(file.suffix in (".mds", ".json") for file in cache.iterdir())


def test_a_lock_that_another_users_killed_process_has_left(place, packed, total):
    cache = place / "left"
    cache.mkdir()
    cache.chmod(0o1777)
    lock = cache / ".shard.00002.mds.lock"
    lock.touch()
    lock.chmod(0o666)
    os.chown(lock, USERS[0], USERS[0])
    assert results(as_user(USERS[1], cache, packed)) == [total]


def test_what_cannot_be_decompressed_where_it_lies(place, packed):
    reader = as_user(USERS[0], packed)
    _, error = reader.communicate(timeout=60)
    assert reader.returncode
    assert (
        "cannot be written: Permission denied; check its permissions, or read what is here"
        in error
    )
