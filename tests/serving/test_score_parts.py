"""Parts of two plans in one directory, and what a killed check leaves."""

import dataclasses
from pathlib import Path

import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.serving.parts import Parts
from glm_composer.serving.plan import Plan

PLAN = Plan(
    model="sha256:m",
    network="{}",
    genome="sha256:g",
    variants="sha256:v",
    contigs="",
    scores=["LLR.minus.score"],
    window=64,
    strands="both",
    precision="fp32",
    allow_mismatch=False,
    chunk_rows=2,
)
ONES, TWOS = (pl.DataFrame({"LLR.minus.score": [value] * 2}) for value in (1.0, 2.0))


def _begun(out: Path, plan: Plan, overwrite: bool = False) -> Parts:
    parts = Parts(out, plan)
    with parts.held():
        parts.begin(overwrite, [])
    return parts


def test_processes_of_a_dead_job_do_not_write_into_another_plan(tmp_path):
    out = tmp_path / "out.parquet"
    dead = _begun(out, PLAN)
    dead.write(0, ONES)
    now = _begun(out, dataclasses.replace(PLAN, window=32), overwrite=True)
    # A process that holds no lock goes on, for its first has died unnoticed.
    dead.write(0, ONES)
    dead.write(1, ONES)
    assert now.count() == 0
    assert not now.has(0)
    now.write(0, TWOS)
    dead.write(0, ONES)
    assert now.count() == 1
    assert now.read(0).equals(TWOS)


def test_every_process_of_a_plan_finds_the_parts_of_the_others(tmp_path):
    out = tmp_path / "out.parquet"
    _begun(out, PLAN).write(3, ONES)
    other = Parts(out, dataclasses.replace(PLAN))
    assert (other.has(3), other.has(2), other.count()) == (True, False, 1)
    assert other.read(3).equals(ONES)


def test_a_killed_check_does_not_bind_the_next_run(tmp_path):
    out = tmp_path / "out.parquet"
    (_begun(out, PLAN).directory / "keys").write_bytes(b"half")
    allowing = _begun(out, dataclasses.replace(PLAN, allow_mismatch=True))
    assert not (allowing.directory / "keys").exists()
    # What has been found out or scored does.
    allowing.keep_checked("{}")
    with pytest.raises(UserError, match="another allow_mismatch: begun with True, now False"):
        _begun(out, PLAN)
    assert allowing.checked() == "{}"
    strict = _begun(out, PLAN, overwrite=True)
    assert strict.checked() is None
    strict.write(0, ONES)
    with pytest.raises(UserError, match="another allow_mismatch: begun with False, now True"):
        _begun(out, dataclasses.replace(PLAN, allow_mismatch=True))
    assert strict.has(0)


def test_a_killed_check_gives_no_right_to_the_output(tmp_path):
    out = tmp_path / "out.parquet"
    _begun(out, PLAN)
    out.write_text("mine")
    with pytest.raises(UserError, match=r"out.parquet: exists already"):
        _begun(out, PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
