"""`glm runs plot`: a metric of several runs over training, as a figure for a paper."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.runs.folder import METRICS

Floats = NDArray[np.float64]

ENDINGS = (".png", ".svg", ".pdf")

# Okabe and Ito (2008): told apart by everybody.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", ":")
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "glm_composer",
}
# With more points than these they would hide the line.
_MARKED = 60


def plot_metric(run_dirs: Sequence[Path], metric: str, out: Path) -> None:
    """Draw a metric of runs over their steps, with bars of one standard error where logged.

    Args:
        run_dirs: directories of runs.
        metric: its name in metrics.jsonl.
        out: a path that ends in .png (300 dots an inch), .svg or .pdf.

    Raises:
        UserError: a run has no such metric, or the figure cannot be written.
    """
    if out.suffix not in ENDINGS:
        raise UserError(f"{out}: choose a path that ends in {', '.join(ENDINGS)}")
    curves = {path.name: read_curve(path / METRICS, metric) for path in run_dirs}
    aside = out.with_name(f".{out.stem}.{os.getpid()}.partial{out.suffix}")
    with rc_context(_STYLE):
        figure = _draw(curves, metric)
        try:
            # Dates would make equal figures differ.
            dates = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
            figure.savefig(aside, dpi=300, metadata=dates[out.suffix])
            os.replace(aside, out)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None


def read_curve(path: Path, metric: str) -> tuple[Floats, Floats, Floats]:
    """Read a metric's steps [n], its finite values [n] and their standard errors [n], or NaN.

    Raises:
        UserError: the file cannot be read or has no such metric.
    """
    rows = [row for row in read_metrics(path) if _is_finite(row.get(metric))]
    if not rows:
        raise UserError(f"{path}: no value of '{metric}'; `glm runs show` lists what there is")
    errors = [row.get(f"{metric}_se") for row in rows]
    return (
        np.array([row["step"] for row in rows], dtype=np.float64),
        np.array([row[metric] for row in rows], dtype=np.float64),
        np.array([e if _is_finite(e) else np.nan for e in errors], dtype=np.float64),
    )


def _draw(curves: dict[str, tuple[Floats, Floats, Floats]], metric: str) -> Figure:
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for place, (name, (steps, values, errors)) in enumerate(curves.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        dashes = _DASHES[place // len(_COLOURS) % len(_DASHES)]
        marker = "o" if len(steps) <= _MARKED else None
        axes.plot(steps, values, dashes, color=colour, lw=1.2, marker=marker, ms=3, label=name)
        if np.isfinite(errors).any():
            axes.errorbar(steps, values, errors, fmt="none", ecolor=colour, elinewidth=0.6)
    axes.set_xlabel("step (optimizer updates)")
    axes.set_ylabel(metric)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=7)
    return figure


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
