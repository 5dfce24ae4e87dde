import json
import math
from pathlib import Path

import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.report.compare import (
    CURVES,
    differing_settings,
    print_comparison,
    read_comparison,
    summary_rows,
    write_comparison,
)

CONFIG = """\
run_name: {name}
runs_dir: runs/{name}
global_train_batch_size: {batch}
optimizer: {{name: adamw, lr: {lr}}}
data: {{path: nowhere, eval_split: validation}}
evaluation:
  tables:
    coding: {{variants: v.parquet, genome: g.fa, chroms: {chroms}, score: LLR.minus.score,
      strands: both, window: null}}
"""


def _write(
    directory: Path,
    auprc: list[float],
    *,
    name: str | None = None,
    batch: int = 16,
    lr: float = 1e-3,
    chroms: str = "[chr15]",
) -> Path:
    directory.mkdir(parents=True)
    config = CONFIG.format(name=name or directory.name, batch=batch, lr=lr, chroms=chroms)
    (directory / "config.yaml").write_text(config)
    lines = [{"step": step, "train/loss": 1.3} for step in range(1, 10 * len(auprc) + 1)]
    for i, value in enumerate(auprc):
        lines[10 * i + 9] |= {
            "eval/coding/auprc": value,
            "eval/coding/auprc_se": 0.01 * (i + 1),
            "eval/coding/auroc": 0.5 + value / 2,
            "eval/coding/base_rate": 0.1,
            "eval/coding/n": 100,
            "validation/loss": 1.4 - value,
        }
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return directory


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        _write(tmp_path / "a", [0.1, 0.3, 0.2]),
        _write(tmp_path / "b", [0.15, math.nan], lr=2e-3),
    ]


def test_last_and_best_values_of_each_run(two):
    comparison = read_comparison(two)
    assert comparison.tables == ["coding"]
    assert comparison.metrics("coding") == ["auprc", "auroc"]
    assert summary_rows(comparison, [("eval/coding/auprc", "AUPRC")]) == [
        ["AUPRC", "a", "30", "0.200 ± 0.030", "30", "0.300 ± 0.020", "20"],
        # A value that is not finite is neither last nor best.
        ["AUPRC", "b", "20", "0.150 ± 0.010", "10", "0.150 ± 0.010", "10"],
    ]
    # Of a loss the lowest is the best.
    assert summary_rows(comparison, [("validation/loss", "loss")])[0] == [
        *["loss", "a", "30", "1.2000", "30", "1.1000", "20"]
    ]


def test_curves_page_and_text_hold_the_same(two, tmp_path, capsys):
    comparison = read_comparison(two)
    page = write_comparison(comparison, tmp_path / "out").read_text()
    print_comparison(comparison)
    text = capsys.readouterr().out
    for figure in ("0.300 ± 0.020", "0.200 ± 0.030", "0.150 ± 0.010", "1.1000"):
        assert figure in text
        assert figure in page
    curves = pl.read_csv(tmp_path / "out" / CURVES)
    auprc = curves.filter(pl.col("metric") == "eval/coding/auprc", pl.col("run") == "a")
    assert auprc.select("step", "value").rows() == [(10, 0.1), (20, 0.3), (30, 0.2)]
    assert "train/loss" not in curves["metric"]
    # One file: nothing is fetched, nothing runs.
    assert "<script" not in page
    assert "src=" not in page
    assert "base rate 0.100" in page
    # What they differ in, and nothing else.
    assert differing_settings(comparison) == {"optimizer.lr": ["0.001", "0.002"]}


def test_metrics_of_several_scores(tmp_path):
    run = _write(tmp_path / "a", [0.2])
    line = {f"eval/coding/{key}": 0.5 for key in ("x.score/auprc", "x.score/auroc", "mrr")}
    line |= {"eval/coding/x.score/auprc_se": 0.1, "eval/coding/x.score/n": 3, "step": 11}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    comparison = read_comparison([run])
    assert comparison.tables == ["coding"]
    several = ["x.score/auprc", "x.score/auroc"]
    assert comparison.metrics("coding") == ["auprc", "auroc", "mrr", *several]
    assert comparison.headline("coding") == ["auprc", "auroc", "mrr", "x.score/auprc"]
    page = write_comparison(comparison, tmp_path / "out").read_text()
    assert "0.500 ± 0.100" in page
    assert "x.score/auroc over training" not in page.partition("<details>")[0]
    assert "x.score/auroc" in page


def test_figures_that_are_not_comparable_are_noted(tmp_path):
    comparison = read_comparison(
        [
            _write(tmp_path / "a", [0.2]),
            _write(tmp_path / "b", [0.2], batch=32, chroms="[chr16]"),
            _write(tmp_path / "c", []),
        ]
    )
    assert comparison.notes == [
        "A step is not as many windows in every run: a 16, b 32, c 16.",
        "Table coding was not asked alike, chroms differs: a ['chr15'], b ['chr16'].",
        "c: no scores of coding during training.",
    ]


def test_runs_of_one_name_are_told_apart_by_their_directories(tmp_path):
    runs = [_write(tmp_path / place, [0.2], name="same") for place in ("x", "y")]
    assert list(read_comparison(runs).runs) == list(map(str, runs))


def test_bad_input(two, tmp_path):
    with pytest.raises(UserError, match="given twice"):
        read_comparison([two[0], two[1], two[0]])
    with pytest.raises(UserError, match="no such file; give the directory of a run"):
        read_comparison([tmp_path])
    with pytest.raises(UserError, match="no metrics to compare"):
        read_comparison([_write(tmp_path / "empty", [])])
