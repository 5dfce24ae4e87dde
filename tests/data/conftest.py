"""Real windows in several small shards, and what Streaming and its ranks need."""

import atexit
import functools
import multiprocessing
import os
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glm_composer.conversion.shards import ShardWriter, Table
from glm_composer.data.shards import Shards

Release = Callable[[], Any]

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
    writer = ShardWriter(path, LENGTH, ROWS_PER_SHARD * row + 400)
    writer.write(windows)
    writer.finish()
    assert len(list(path.glob("*.mds"))) == -(-SAMPLES // ROWS_PER_SHARD)
    return path


@pytest.fixture(autouse=True)
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Release]]:
    """What Streaming would release only when the process ends, released after each test.

    Each dataset holds half a dozen blocks of shared memory, hence as many open files.
    `clean_stale_shared_memory` is not for tests: it unlinks those of every run on the machine.
    """
    # Streaming leaves its lock files there for good.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waiting: list[Release] = []

    def register(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        waiting.append(functools.partial(function, *args, **kwargs))
        return function

    monkeypatch.setattr(atexit, "register", register)
    yield waiting
    release(waiting)


def release(waiting: list[Release]) -> None:
    """Do what waits, last come first, as `atexit` would."""
    while waiting:
        waiting.pop()()


@pytest.fixture
def on_two_ranks(releases: list[Release]) -> Callable[..., list[Any]]:
    """Calls a function on two ranks and returns both results.

    Real processes over gloo, forked so that they need not spend ten seconds on imports.
    """

    def run(function: Callable[..., Any], *arguments: Any) -> list[Any]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("fork")
        pipes, processes = [], []
        for rank in range(2):
            receive, send = context.Pipe(duplex=False)
            given = (rank, port, send, releases, function, arguments)
            process = context.Process(target=_be_rank, args=given, daemon=True)
            process.start()
            send.close()
            pipes.append(receive)
            processes.append(process)
        try:
            assert all(pipe.poll(60) for pipe in pipes), "a rank hangs"
            results = [pipe.recv() for pipe in pipes]
        finally:
            for process in processes:
                process.join(5)
                process.kill()
        for result in results:
            assert not isinstance(result, str), result
        return results

    return run


def _be_rank(
    rank: int,
    port: int,
    pipe: Any,
    releases: list[Release],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    # What was inherited is the parent's to release.
    releases.clear()
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in here.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        if torch.distributed.is_initialized():  # in the parent, by a test before this one
            torch.distributed.destroy_process_group()
        torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
        result = function(*arguments)
        torch.distributed.barrier()
        pipe.send(result)
    except BaseException:
        pipe.send(traceback.format_exc())
    finally:
        release(releases)
