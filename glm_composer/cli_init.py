"""`glm init`: a project of one's own."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="NAME", help="Directory to make; names the project.")
    ],
) -> None:
    """Make a project that uses this library: yamls, a package with a model and a score, a test."""
    from glm_composer.projects.project import write_project

    for each in write_project(directory):
        print(directory / each)
    print(f"next: cd {directory} && python -m pip install -e . (README.md says what then)")
