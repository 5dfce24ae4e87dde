"""The verbs of `glm runs` as a command runs them: read, print, write files."""

from pathlib import Path

from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.runs.index import open_index, rebuild, refresh, writing
from glm_composer.runs.known import Index, names
from glm_composer.runs.query import check_names

REPORT = "report.html"


def reindex(runs_dir: Path) -> None:
    """Make the index again from the runs' directories."""
    with open_index(runs_dir) as index:
        rebuild(index)
        print(f"{len(names(index)):,} runs")


def change_tags(runs_dir: Path, name: str, tags: list[str], *, remove: bool) -> None:
    """Give tags to a run, or take them away."""
    from glm_composer.runs.tags import change_tags as change

    with open_index(runs_dir) as index:
        (name,) = check_names(index, [name])
        # In turns: of two commands at once none takes back what the other has done.
        with writing(index):
            now = change(index.runs_dir / name, tags, remove=remove)
        refresh(index)
    print(f"{name}: {', '.join(now) or 'no tags'}")


def diff(runs_dir: Path, left: str, right: str) -> None:
    """Print what is not the same in two runs' records, and their figures beside each other."""
    from glm_composer.runs.differences import differences, print_differences, read_record

    with open_index(runs_dir) as index:
        left, right = check_names(index, [left, right])
        records = [read_record(runs_dir / name) for name in (left, right)]
        found = differences(*records)
        figures = _figures(index, left, right)
    if found:
        print_differences(found, left, right)
    else:
        print("the records are the same")
    if any(each.data is None for each in records):
        print("whether the data are the same is not known: a run did not write it down")
    if figures:
        print()
        print_columns(("last values", left, right, "difference"), figures, words=1)


def plot(runs_dir: Path, metric: str, runs: list[str], out: Path) -> None:
    """Draw a metric of runs."""
    from glm_composer.runs.plots import plot_metric

    with open_index(runs_dir) as index:
        found = check_names(index, runs)
    plot_metric([runs_dir / name for name in found], metric, out)
    print(f"written to {out}")


def report(runs_dir: Path, runs: list[str], out: Path | None) -> None:
    """Write the report of a run into its directory, or one page of several."""
    from glm_composer.report.page import write_report
    from glm_composer.report.runs_page import write_runs_report

    with open_index(runs_dir) as index:
        found = [runs_dir / name for name in check_names(index, runs)]
    if len(found) == 1 and out is None:
        print(f"report: {write_report(found[0])}")
        return
    print(f"report: {write_runs_report(found, out or runs_dir / REPORT)}")


def find_run(runs_dir: Path, name: str) -> Path:
    """Return a run's directory by its name, or by the directory itself.

    Raises:
        UserError: there is no such run.
    """
    if "/" in name and Path(name).is_dir():
        return Path(name)
    if not (runs_dir / name).is_dir():
        raise UserError(f"{runs_dir}: no run '{name}'; `glm runs ls` shows what there is")
    return runs_dir / name


def _figures(index: Index, left: str, right: str) -> list[list[str]]:
    """Losses and variant effects of two runs: their last values and how much more the second's."""
    from glm_composer.runs.known import metrics_of

    a, b = metrics_of(index, left), metrics_of(index, right)
    rows = []
    for key in sorted({*a, *b}):
        if not (key.startswith("eval/") or key.endswith("loss")) or key.endswith("_se"):
            continue
        values = [each[key].last if key in each else None for each in (a, b)]
        more = None if None in values else values[1] - values[0]  # type: ignore[operator]
        cells = ["-" if v is None else f"{v:.6g}" for v in values]
        rows.append([key, *cells, "-" if more is None else f"{more:+.3g}"])
    return rows
