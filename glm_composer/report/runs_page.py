"""Several runs on one self-contained page: an overview, their curves, and each one's report."""

from collections.abc import Sequence
from pathlib import Path

from glm_composer.report.blocks import folded, section, table
from glm_composer.report.compare import Comparison, comparison_of
from glm_composer.report.compare_page import body as compared
from glm_composer.report.document import document, replace_text
from glm_composer.report.markup import Child, Markup, tag
from glm_composer.report.numbers import number, with_error
from glm_composer.report.page import body as reported
from glm_composer.report.page import header
from glm_composer.report.record import MODEL, Run, read_run
from glm_composer.runs.status import read_status, shown_state


def write_runs_report(run_dirs: Sequence[Path], out: Path) -> Path:
    """Write the page of several runs, replacing an earlier one at once.

    Args:
        run_dirs: directories of runs, as training leaves them, also while it goes on.
        out: the file.

    Returns:
        The page's path.

    Raises:
        UserError: no run there, one given twice, a damaged file, or the page cannot be written.
    """
    replace_text(out, page([read_run(each) for each in run_dirs]))
    return out


def page(runs: Sequence[Run]) -> str:
    """Return the page of runs as HTML."""
    comparison = comparison_of(runs)
    title = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    return document(
        title,
        tag("header", tag("h1", title), tag("p", ", ".join(comparison.runs))),
        _overview(comparison),
        compared(comparison),
        section(
            "Each run",
            [folded(name, header(run), reported(run)) for name, run in comparison.runs.items()],
        ),
    )


def _overview(comparison: Comparison) -> Markup:
    runs = comparison.runs
    tables = list(dict.fromkeys(t.name for run in runs.values() for t in run.tables))
    rows: list[list[Child]] = [
        [
            name,
            _state(run),
            str(run.setting("model.name")),
            _parameters(run),
            number(run.metrics[-1]["step"], 0) if run.metrics else "0",
            number(run.held_out.nats[MODEL], 4) if run.held_out else "n/a",
            *(_auprc(run, each) for each in tables),
        ]
        for name, run in runs.items()
    ]
    heads = ["run", "state", "model", "parameters", "steps", "held-out loss, nats per base"]
    return section(
        "Overview",
        tag("p", "Figures of the final evaluation. ±: 1 SE.", class_="remark"),
        table([*heads, *(f"AUPRC, {each}" for each in tables)], rows, words=3),
    )


def _state(run: Run) -> str:
    status = read_status(run.directory)
    if status is None:
        return "unknown"
    state = shown_state(status)
    told = state in ("failed", "stopped") and status.reason
    return f"{state}: {status.reason}" if told else state


def _parameters(run: Run) -> str:
    count = run.environment.get("parameters")
    return number(count, 0) if isinstance(count, int) else "n/a"


def _auprc(run: Run, table_name: str) -> str:
    for scored in run.tables:
        if scored.name == table_name:
            figures = scored.figures[MODEL]
            return with_error(figures["auprc"], figures["auprc_se"])
    return "n/a"
