"""The report's figures as tables on the terminal."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from glm_composer.evaluation.figures import Figures
from glm_composer.evaluation.scored import ScoredVariants
from glm_composer.report import held_out as losses
from glm_composer.report import variants
from glm_composer.report.numbers import number, readable
from glm_composer.report.record import MODEL, read_run
from glm_composer.report.scored import counts, undefined
from glm_composer.report.scored_ranking import metric_rows
from glm_composer.report.training import typical_mfu, typical_throughput


def print_summary(run_dir: Path, evaluation: Path | None = None) -> None:
    """Print held-out loss, variant figures and throughput of a run, and what is missing.

    Args:
        run_dir: the run's directory.
        evaluation: directory of the measurements to print; None for those of the end of the run.

    Raises:
        UserError: as `write_report`.
    """
    run = read_run(run_dir, evaluation)
    console = Console(highlight=False)
    console.print(Text(f"Run {run.name}", style="bold"))
    if run.held_out:
        held_out = run.held_out
        title = f"Held-out loss, {held_out.split} split, {number(held_out.positions, 0)} positions"
        console.print(_table(title, losses.COLUMNS, losses.held_out_rows(held_out)))
        console.print(Text(f"Held-out loss of the model: {losses.held_out_verdict(held_out)}."))
    for scored in run.tables:
        rows = variants.auprc_rows({**scored.figures, **scored.others})
        console.print(_table(f"Zero-shot, {scored.name}", variants.COLUMNS, rows))
        console.print(Text(f"{variants.counts(scored)}."))
    speed, logged = typical_throughput(run)
    if logged:
        mfu = typical_mfu(run)
        share = "" if math.isnan(mfu) else f", {mfu:.0%} of the measured matmul peak"
        console.print(Text(f"Training throughput: {number(speed, 0)} bases/s (median){share}."))
    for sentence in run.missing:
        console.print(Text(f"Missing: {sentence}", style="yellow"))


def print_figures(scored: ScoredVariants, figures: Figures) -> None:
    """Print every figure of a scored table."""
    console = Console(highlight=False)
    # Scores side by side: there are fewer of them than of metrics.
    rows = zip(*metric_rows(figures.scores), strict=True)
    header, *cells = rows
    console.print(_table(f"Scores of {scored.path.name}", header, cells))
    console.print(Text(counts(scored)))
    for sentence in undefined(figures):
        console.print(Text(f"Not measured: {sentence}", style="yellow"))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    # Text throughout: names of predictors and tables are no markup of rich's.
    drawn = Table(title=Text(title), title_justify="left", show_edge=False, pad_edge=False)
    for column, name in enumerate(header):
        drawn.add_column(Text(name), justify="right" if column else "left")
    for row in rows:
        style = "bold" if row[0] == readable(MODEL) else None
        drawn.add_row(*map(Text, row), style=style)
    return drawn
