"""The verbs of `glm runs`: what there is in a directory of runs, and what became of each."""

from pathlib import Path
from typing import Annotated

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
