"""The verbs of `glm runs`: what there is in a directory of runs, and what became of each."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Find runs, compare them and tidy up.", no_args_is_help=True)

RunsDir = Annotated[
    Path, typer.Option("--runs-dir", metavar="DIR", help="Parent of the runs' directories.")
]
Where = Annotated[
    str | None,
    typer.Option(metavar="EXPR", help="Only such runs, like 'seed=1 and eval/yeast/auprc>0.2'."),
]
RUNS = Path("runs")


@app.command("ls")
def list_runs(
    where: Where = None,
    sort: Annotated[str, typer.Option(metavar="KEY", help="Largest or newest first.")] = "started",
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The other way round.")] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,...", help="Keys to show; +KEY,... in addition to the usual ones."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Show no more than so many.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything known, as JSON.")] = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """List runs, the newest first."""
    from glm_composer.runs.index import open_index
    from glm_composer.runs.listing import print_runs

    with open_index(runs_dir) as index:
        print_runs(index, columns, where, sort, reverse=reverse, limit=limit, as_json=as_json)


Name = Annotated[str, typer.Argument(metavar="NAME", help="A run's name, or its directory.")]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names of runs, or their directories.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
DirectionOption = Annotated[
    Literal["minimize", "maximize"] | None,
    typer.Option(help="By default minimize for losses and perplexities, maximize for others."),
]


@app.command()
def show(name: Name, runs_dir: RunsDir = RUNS) -> None:
    """Print what a run is, its metrics and what happened to it lately."""
    from glm_composer.runs.details import print_run
    from glm_composer.runs.index import open_index
    from glm_composer.runs.query import check_names

    with open_index(runs_dir) as index:
        print_run(index, check_names(index, [name])[0])


@app.command()
def best(
    metric: Annotated[str, typer.Option(help="A metric, or any key that is a number.")],
    direction: DirectionOption = None,
    where: Where = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show so many.")] = 10,
    runs_dir: RunsDir = RUNS,
) -> None:
    """List runs by the last value of a metric, the best first."""
    from glm_composer.runs.index import open_index
    from glm_composer.runs.ranking import print_best

    with open_index(runs_dir) as index:
        print_best(index, metric, direction, where, limit)


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="A")],
    right: Annotated[str, typer.Argument(metavar="B")],
    runs_dir: RunsDir = RUNS,
) -> None:
    """Compare two runs' settings, code, data, machines, packages and last figures."""
    from glm_composer.runs.command import diff as run

    run(runs_dir, left, right)


@app.command()
def export(out: Out, where: Where = None, runs_dir: RunsDir = RUNS) -> None:
    """Write a table of runs, a row each, a column a key: .parquet or .csv."""
    from glm_composer.runs.export import export_runs
    from glm_composer.runs.index import open_index

    with open_index(runs_dir) as index:
        count = export_runs(index, out, where)
    print(f"{count:,} runs written to {out}")


@app.command()
def plot(
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="As in metrics.jsonl.")],
    runs: Names,
    out: Out,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Draw a metric of runs over their steps: .png, .svg or .pdf."""
    from glm_composer.runs.command import plot as run

    run(runs_dir, metric, runs, out)


@app.command()
def tag(
    name: Name,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Plain words.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take them away instead.")] = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Give tags to a run: to find it by, and to keep it from being pruned."""
    from glm_composer.runs.command import change_tags

    change_tags(runs_dir, name, tags, remove=remove)


@app.command()
def prune(
    where: Annotated[
        str | None,
        typer.Option(metavar="EXPR", help="Such runs; by default failed and dead ones."),
    ] = None,
    keep_best: Annotated[
        int | None, typer.Option(min=1, help="Of these keep so many, the best by --metric.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Tells the best.")] = None,
    direction: DirectionOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Remove directories of runs that are over; those with tags are kept."""
    from glm_composer.runs.index import open_index
    from glm_composer.runs.pruning import candidates
    from glm_composer.runs.pruning import prune as run

    with open_index(runs_dir) as index:
        found = candidates(index, where, keep_best, metric, direction)
        run(index, found, dry_run=dry_run, yes=yes)


@app.command()
def reindex(runs_dir: RunsDir = RUNS) -> None:
    """Make the index again from the runs' directories."""
    from glm_composer.runs.command import reindex as run

    run(runs_dir)


@app.command()
def report(
    names: Names,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page to write; by default report.html beside them."),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write the self-contained page of one run, or of several beside each other."""
    from glm_composer.runs.command import report as run

    run(runs_dir, names, out)


def rerun(
    name: Name,
    run_name: Annotated[
        str | None, typer.Option(help="Of the new run; by default NAME-rerun.")
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Train a run again from its record; say what has changed since, and compare the losses."""
    from glm_composer.runs.command import find_run
    from glm_composer.runs.rerun import rerun as run

    run(find_run(runs_dir, name), run_name)
