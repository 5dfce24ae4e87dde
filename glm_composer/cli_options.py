"""Arguments and options that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="A yaml file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Overrides, dots for depth.", show_default=False
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Errors only, no progress.")]
