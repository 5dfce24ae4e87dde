"""The verbs of `glm checkpoints`: which a run has, and whether they can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from glm_composer.errors import UserError

app = typer.Typer(
    help="List a run's checkpoints and check that they are whole.", no_args_is_help=True
)

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")]


@app.command("ls")
def list_all(run: Run) -> None:
    """List them, without reading them through."""
    from glm_composer.training.checkpoint_command import print_list

    print_list(run)


@app.command()
def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A run's directory, or one checkpoint.")
    ],
) -> None:
    """Read them through and compare every byte's checksum; exit code 1 if one is not whole."""
    from glm_composer.training.checkpoint_command import print_verified

    if not print_verified(path):
        raise typer.Exit(1)


@app.command()
def accept(run: Run) -> None:
    """Write manifests for checkpoints that have none, as those of earlier versions have not.

    Each is checked first: by the checksums within the file, and that it holds plain data only.
    """
    from glm_composer.training.checkpoint_command import accept as run_it

    found = run_it(run)
    for file in (file for file, problem in found.items() if problem is None):
        print(f"accepted: {file}")
    if refused := [problem for problem in found.values() if problem is not None]:
        raise UserError("\n".join(refused))
