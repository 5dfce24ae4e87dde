"""Variants dealt to ranks: every one scored once, and its score the same on any number of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.table import VariantWindows
from glm_composer.settings import dump

SCRIPT = Path(__file__).with_name("score_on_ranks.py")
SCORES = ["LLR.minus.score", "Embeddings.minus.inner_product", "influence"]


def variants(chrom: list[str], pos: list[int]) -> VariantWindows:
    none = np.zeros(len(pos), dtype=np.uint8)
    table = pl.DataFrame({"chrom": chrom, "pos": pos})
    return VariantWindows(table, none[:, None], none, none)


def test_blocks_hold_every_row_once_and_sites_whole():
    # Rows of a site are 0, 3, 5; of the others one each.
    found = variants([*"aabab", "a"], [7, 9, 7, 7, 1, 7]).blocks(2)
    assert sorted(np.concatenate(found)) == list(range(6))
    assert [rows.tolist() for rows in found] == [[0, 3, 5, 1], [4, 2]]
    assert variants([], []).blocks(2) == []


@pytest.mark.slow
def test_any_number_of_ranks_gives_the_same_scores_and_metrics(configure, yeast, tmp_path):
    files = f"variants: {yeast}/variants.parquet, genome: {yeast}/genome.fa"
    # 3,000 variants are 31 blocks, which divide into neither 2 nor 3 equal shares.
    how = f"scores: [{', '.join(SCORES)}], window: 33, batch_size: 97"
    config = configure(
        f"evaluation.tables.coding={{{files}, {how}}}", "global_train_batch_size=12"
    )
    (tmp_path / "run.yaml").write_text(dump(config))
    command = [sys.executable, str(SCRIPT), str(tmp_path / "run.yaml"), str(tmp_path)]
    started = []
    for ranks in (1, 2, 3):
        for rank in range(ranks):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
            place |= {"LOCAL_WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen(command, env={**os.environ, **place}))
    assert [process.wait(timeout=400) for process in started] == [0] * 6
    table = pl.read_parquet(yeast / "variants.parquet")
    alone = np.load(tmp_path / "1-0.npz")
    assert sorted(alone) == sorted(SCORES)
    for place in ("2-0", "2-1", "3-0", "3-1", "3-2"):
        found = np.load(tmp_path / f"{place}.npz")
        for name in SCORES:
            assert len(np.unique(alone[name])) > 1500
            assert found[name].tobytes() == alone[name].tobytes()
            assert summarize(table, found[name]) == pytest.approx(
                summarize(table, alone[name]), rel=0, nan_ok=True
            )
