"""Several runs beside each other: their metrics over training as one table, in text and as CSV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.report.document import replace_text
from glm_composer.report.numbers import number, with_error
from glm_composer.report.record import Run, read_run

PAGE, CURVES = "compare.html", "compare.csv"
COLUMNS = ("metric", "run", "steps", "last ± SE", "at step", "best ± SE", "at step")

_EVALUATED = "eval/"
_ERROR = "_se"
# What a table is, rather than how well it was ranked.
_NO_METRIC = ("n", "n_positive", "base_rate")
# Settings that name a run or say where its files are.
_NO_DIFFERENCE = ("run_name", "runs_dir")


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Runs to compare.

    Attributes:
        runs: a short name, each another's -> the run, in the order given.
        tables: names of the variant tables that any of them was scored on during training.
        notes: a sentence for everything that makes figures not comparable, or missing.
    """

    runs: dict[str, Run]
    tables: list[str]
    notes: list[str]

    def metrics(self, table: str) -> list[str]:
        """Names of a table's metrics in any run, AUPRC first, without their standard errors.

        `METRIC` is of the table's first score; where there are several, `SCORE/METRIC` of each.
        """
        start = f"{_EVALUATED}{table}/"
        found = [n.removeprefix(start) for n in _metric_names(self.runs) if n.startswith(start)]
        wanted = [n for n in found if _is_metric(n.rpartition("/")[2])]
        return sorted(wanted, key=lambda name: ("/" in name, not name.startswith("auprc"), name))

    def headline(self, table: str) -> list[str]:
        """Those of them to show first: all of the first score, AUPRC of the others."""
        return [n for n in self.metrics(table) if "/" not in n or n.endswith("/auprc")]

    def losses(self) -> list[str]:
        """Names of held-out losses in any run."""
        splits = {str(run.setting("data.eval_split")): None for run in self.runs.values()}
        names = [f"{split}/loss" for split in splits]
        return [n for n in names if any(len(run.metric(n)[0]) for run in self.runs.values())]


def read_comparison(directories: Sequence[str | Path]) -> Comparison:
    """Read the runs to compare.

    Args:
        directories: of runs, as training leaves them, also while it goes on.

    Raises:
        UserError: no run there, a run given twice, or none that logged anything to compare.
    """
    comparison = comparison_of([read_run(directory) for directory in directories])
    if not comparison.tables and not comparison.losses():
        raise UserError(
            f"{', '.join(map(str, directories))}: no metrics to compare: no metrics.jsonl there "
            "holds variant scores (evaluation.tables) or a held-out loss yet"
        )
    return comparison


def comparison_of(found: Sequence[Run]) -> Comparison:
    """Return runs as they are compared, whether or not they have logged anything yet.

    Raises:
        UserError: a run is given twice.
    """
    runs: dict[str, Run] = {}
    names = [run.name for run in found]
    for run in found:
        # Runs of one name are told apart by where they are.
        name = run.name if names.count(run.name) == 1 else str(run.directory)
        if name in runs or any(run.directory.samefile(r.directory) for r in runs.values()):
            raise UserError(f"{run.directory}: given twice; name each run once")
        runs[name] = run
    tables = [name.split("/")[1] for name in _metric_names(runs) if name.startswith(_EVALUATED)]
    return Comparison(
        runs=runs, tables=list(dict.fromkeys(tables)), notes=_notes(runs, set(tables))
    )


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write `compare.html` and `compare.csv` into a directory, replacing earlier ones at once.

    Returns:
        The page's path.

    Raises:
        UserError: they cannot be written.
    """
    from glm_composer.report.compare_page import page

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made: {error.strerror}") from None
    replace_text(out / CURVES, curves(comparison).write_csv())
    replace_text(out / PAGE, page(comparison))
    return out / PAGE


def print_comparison(comparison: Comparison) -> None:
    """Print the last and the best value of every metric and run, and what to know about them."""
    for table in comparison.tables:
        names = [(f"{_EVALUATED}{table}/{m}", m) for m in comparison.headline(table)]
        print(f"Variant effects during training: {table}")
        print_columns(COLUMNS, summary_rows(comparison, names), words=2)
        print()
    losses = [(name, name) for name in comparison.losses()]
    if losses:
        print("Held-out loss during training, nats per base")
        print_columns(COLUMNS, summary_rows(comparison, losses), words=2)
    for note in comparison.notes:
        print(f"Note: {note}")


def summary_rows(comparison: Comparison, metrics: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Cells of `COLUMNS`: a row for each metric and run.

    Args:
        comparison: the runs.
        metrics: names as logged, and as shown; of a loss the lowest value is the best.
    """
    rows = []
    for logged, shown in metrics:
        for name, run in comparison.runs.items():
            steps, values = run.metric(logged)
            errors = standard_errors(run, logged)
            known = np.flatnonzero(np.isfinite(values))
            length = number(run.metrics[-1]["step"], 0) if run.metrics else "0"
            if not len(known):
                rows.append([shown, name, length, *["n/a"] * 4])
                continue
            sign = -1 if logged.endswith("/loss") else 1
            best = known[np.argmax(sign * values[known])]
            digits = 4 if sign < 0 else 3
            cells = []
            for at in (known[-1], best):
                cells += [with_error(values[at], errors[at], digits), number(steps[at], 0)]
            rows.append([shown, name, length, *cells])
    return rows


def standard_errors(run: Run, metric: str) -> np.ndarray:
    """Standard errors [n] of a metric's values, NaN where they were not logged."""
    errors = dict(zip(*run.metric(f"{metric}{_ERROR}"), strict=True))
    return np.array([errors.get(step, math.nan) for step in run.metric(metric)[0]])


def curves(comparison: Comparison) -> pl.DataFrame:
    """All evaluated metrics: `run`, `step`, `metric` (as logged), `value`."""
    losses = set(comparison.losses())
    rows = [
        (name, line["step"], metric, float(value))
        for name, run in comparison.runs.items()
        for line in run.metrics
        for metric, value in line.items()
        if value is not None and (metric.startswith(_EVALUATED) or metric in losses)
    ]
    schema = {"run": pl.String, "step": pl.Int64, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def differing_settings(comparison: Comparison) -> dict[str, list[str]]:
    """Dotted keys of settings that are not the same in all runs -> the value in each."""
    flat = [_flat(run.config) for run in comparison.runs.values()]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    values = {key: [settings.get(key, "n/a") for settings in flat] for key in keys}
    return {k: v for k, v in values.items() if len(set(v)) > 1 and k not in _NO_DIFFERENCE}


def _is_metric(name: str) -> bool:
    return not name.endswith(_ERROR) and name not in _NO_METRIC


def _metric_names(runs: dict[str, Run]) -> list[str]:
    return list(
        dict.fromkeys(
            n for run in runs.values() for row in run.metrics for n in row if n != "step"
        )
    )


def _notes(runs: dict[str, Run], tables: set[str]) -> list[str]:
    notes = []
    batches = [run.setting("global_train_batch_size") for run in runs.values()]
    if len(set(batches)) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in zip(runs, batches, strict=True))
        notes.append(f"A step is not as many windows in every run: {listed}.")
    for table in sorted(tables):
        for key in ("variants", "genome", "chroms", "scores", "strands", "window"):
            asked = {
                name: str(run.setting(f"evaluation.tables.{table}.{key}"))
                for name, run in runs.items()
                if any(f"{_EVALUATED}{table}/auprc" in line for line in run.metrics)
            }
            if len(set(asked.values())) > 1:
                listed = ", ".join(f"{name} {value}" for name, value in asked.items())
                notes.append(f"Table {table} was not asked alike, {key} differs: {listed}.")
    for name, run in runs.items():
        for table in sorted(tables):
            if not any(f"{_EVALUATED}{table}/auprc" in line for line in run.metrics):
                notes.append(f"{name}: no scores of {table} during training.")
    return notes


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = str(value)
    return flat
