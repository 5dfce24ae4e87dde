"""Real windows in several small shards, and what Streaming's own readers need."""

import atexit
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glm_composer.conversion.shard_format import ShardFormat, Table
from glm_composer.conversion.shards import ShardWriter
from glm_composer.data.shards import Shards

LENGTH = 512
SAMPLES = 700
ROWS_PER_SHARD = 97


@pytest.fixture(scope="session")
def windows(yeast: Path) -> Table:
    """700 windows [700] spread over the training chromosomes."""
    index = np.linspace(0, 38_000, SAMPLES).astype(np.int64)
    return Shards(yeast / "train").gather(index)


@pytest.fixture(scope="session")
def split(windows: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The windows in eight shards, the last one short; tests must not write into it."""
    path = tmp_path_factory.mktemp("windows") / "train"
    # A header is some 300 bytes and an offset 4: room for 97 rows, not for 98.
    row = windows.dtype.itemsize + 4
    writer = ShardWriter(path, ShardFormat(length=LENGTH, shard_bytes=ROWS_PER_SHARD * row + 400))
    writer.write(windows)
    writer.finish()
    assert len(list(path.glob("*.mds"))) == -(-SAMPLES // ROWS_PER_SHARD)
    return path


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place for the lock files that Streaming's own readers leave; their memory is released."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waiting: list[Callable[[], Any]] = []

    def register(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        waiting.append(functools.partial(function, *args, **kwargs))
        return function

    # What it releases when the process ends: half a dozen blocks of shared memory a reader.
    monkeypatch.setattr(atexit, "register", register)
    yield
    while waiting:
        waiting.pop()()
