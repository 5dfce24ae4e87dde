"""`glm sweep`: many runs of one configuration."""

from typing import Annotated, Literal

import typer

from glm_composer.cli_options import File

app = typer.Typer()


@app.command()
def sweep(
    file: File,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=V1,V2...",
            help="Values to sweep; overrides with one value hold for every trial. "
            "With --search optuna also ranges: KEY=LOW..HIGH, KEY=log:LOW..HIGH.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="By default the yaml's run_name.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    search: Annotated[
        Literal["grid", "optuna"], typer.Option(help="All combinations, or a guided search.")
    ] = "grid",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials of a guided search.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="As in metrics.jsonl; by default the held-out loss.")
    ] = None,
    direction: Annotated[
        Literal["minimize", "maximize"] | None,
        typer.Option(help="By default minimize for losses, maximize for everything else."),
    ] = None,
) -> None:
    """Train with every combination of values, or search; the same command goes on after a kill."""
    from glm_composer.sweeps.command import Options
    from glm_composer.sweeps.command import sweep as run

    options = Options(
        name=name, jobs=jobs, search=search, trials=trials, metric=metric, direction=direction
    )
    raise typer.Exit(run(file, values or [], options))
