"""The verbs of `glm config`: what a yaml file resolves to, and where it comes from."""

from pathlib import Path
from typing import Annotated

import typer

from glm_composer.cli_options import File, Overrides

app = typer.Typer(help="Look at configurations.", no_args_is_help=True)


@app.command()
def show(
    file: File,
    overrides: Overrides = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say beside each value where it comes from.")
    ] = False,
) -> None:
    """Print the resolved configuration of a training run or a conversion."""
    from glm_composer.config_tools.command import show as run

    run(file, overrides or [], origin=origin)


@app.command()
def ls(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A directory.", show_default=False)
    ] = Path("yamls"),
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also in the directories within it.")
    ] = False,
) -> None:
    """List yaml files (of yamls/) with what they are for; exit code 1 if one is broken."""
    from glm_composer.config_tools.command import ls as run

    if not run(directory, recursive):
        raise typer.Exit(1)


@app.command()
def tree(file: File) -> None:
    """Print which files a yaml file extends; of several the last one wins."""
    from glm_composer.config_tools.command import tree as run

    run(file)


@app.command()
def check(
    place: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A directory, or one file.", show_default=True)
    ] = Path("yamls"),
) -> None:
    """Build every yaml file's model without memory; exit code 1 if one fails."""
    from glm_composer.config_tools.command import check as run

    if not run(place):
        raise typer.Exit(1)


@app.command()
def diff(
    left: Annotated[Path, typer.Argument(metavar="A", help="A yaml file.")],
    right: Annotated[Path, typer.Argument(metavar="B", help="A yaml file.")],
) -> None:
    """Print the keys in which two resolved configurations differ."""
    from glm_composer.config_tools.command import diff as run

    run(left, right)


@app.command()
def docs(
    page: Annotated[
        Path, typer.Argument(metavar="[PAGE]", help="The page's file.", show_default=True)
    ] = Path("docs/configuration.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if it is stale.")
    ] = False,
) -> None:
    """Write the page of every key from the dataclasses."""
    from glm_composer.config_tools.command import docs as run

    if not run(page, check=check):
        raise typer.Exit(1)
