"""glm score as the command a user types, in several processes, killed while it runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_models import write_run

from glm_composer.serving.command import score

GLM = [sys.executable, "-c", "from glm_composer.cli import main; main()"]
CHUNK = 20

pytestmark = pytest.mark.slow


@pytest.fixture
def arguments(yeast: Path, tmp_path: Path) -> list[Path]:
    """A model, 1,000 variants in 50 chunks, their genome; seconds of work."""
    variants = tmp_path / "variants.parquet"
    rows = pl.read_parquet(yeast / "variants.parquet")
    rows.filter(pl.col("match_group") % 3 == 0).write_parquet(variants)
    return [write_run(tmp_path / "run", window=512), variants, yeast / "genome.fa"]


@pytest.fixture
def whole(arguments: list[Path], tmp_path: Path) -> Path:
    """What one process makes in one go."""
    out = tmp_path / "whole.parquet"
    score(*arguments, out, {"chunk_rows": CHUNK}, quiet=True)
    return out


def start(ranks: int, arguments: list[Path], out: Path) -> list[subprocess.Popen]:
    run, variants, genome = map(str, arguments)
    words = [
        "score",
        run,
        variants,
        "--genome",
        genome,
        "-o",
        str(out),
        "--chunk-rows",
        str(CHUNK),
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [*GLM, *words],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def finished(out: Path) -> dict[Path, int]:
    """Finished parts and when they were written."""
    parts = out.with_name(f"{out.name}.parts")
    return {path: path.stat().st_mtime_ns for path in parts.glob("*.scores")}


def wait_for(parts: int, out: Path, processes: list[subprocess.Popen]) -> None:
    while len(finished(out)) < parts:
        for process in processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_killed_at_any_moment_it_goes_on(arguments, whole, tmp_path):
    out = tmp_path / "out.parquet"
    random = np.random.default_rng()
    print("kills:", moments := sorted(random.choice(np.arange(1, 40), 2, replace=False).tolist()))
    before: dict[Path, int] = {}
    for ranks, moment in zip((1, 3), moments, strict=True):
        processes = start(ranks, arguments, out)
        wait_for(moment, out, processes)
        if ranks < 3:
            for process in processes:
                process.send_signal(signal.SIGKILL)
                process.wait()
        else:
            # One alone: the others notice.
            processes[1].send_signal(signal.SIGKILL)
            errors = [process.communicate(timeout=200)[1] for process in processes]
            assert [process.returncode for process in processes] == [2, -signal.SIGKILL, 2]
            for error in (errors[0], errors[2]):
                assert "error: another process of this job has ended too early" in error
        assert not out.exists()
        now = finished(out)
        # Nothing that was finished is done again.
        assert before.items() <= now.items()
        before = now
    processes = start(2, arguments, out)
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "scored 1,000 of 1,000 variants" in outputs[0][0]
    assert outputs[1][0] == ""
    assert out.read_bytes() == whole.read_bytes()
    metrics = [path.with_suffix(".metrics.json").read_bytes() for path in (out, whole)]
    assert metrics[0] == metrics[1]
    assert sorted(path.name for path in tmp_path.glob("out*")) == [
        "out.metrics.json",
        "out.parquet",
    ]


def test_composer_starts_several(arguments, whole, tmp_path):
    out = tmp_path / "out.parquet"
    composer, glm = (str(Path(sys.executable).with_name(name)) for name in ("composer", "glm"))
    run, variants, genome = map(str, arguments)
    words = [
        "score",
        run,
        variants,
        "--genome",
        genome,
        "-o",
        str(out),
        "--chunk-rows",
        str(CHUNK),
    ]
    command = [composer, "-n", "2", "-c", glm, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == whole.read_bytes()
    assert done.stdout.count("scored 1,000 of 1,000 variants") == 1


def test_a_refusal_in_the_first_process_ends_the_others(arguments, tmp_path):
    out = tmp_path / "out.parquet"
    bad = pl.read_parquet(arguments[1]).with_columns(chrom=pl.lit("chrZ"))
    bad.write_parquet(tmp_path / "bad.parquet")
    processes = start(2, [arguments[0], tmp_path / "bad.parquet", arguments[2]], out)
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert "1000 of 1000 rows do not fit" in errors[0]
    assert "error: the first process has given up" in errors[1]
    assert list(tmp_path.glob("out*")) == []
