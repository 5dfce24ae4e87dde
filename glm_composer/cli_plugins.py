"""The verbs of `glm plugins`: what can be named in a yaml, and where it comes from."""

from typing import Annotated

import typer

app = typer.Typer(
    help="Look at models, scores and the like, and at plugins.", no_args_is_help=True
)


@app.command()
def ls(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Such as models, scores or callbacks.")
    ] = None,
) -> None:
    """List every name that a yaml may give, with the package it comes from."""
    from glm_composer.plugin_listing import print_all

    print_all(kind)


@app.command()
def find(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Show the file and line behind a name, and the package it comes from."""
    from glm_composer.plugin_listing import print_found

    print_found(name)
