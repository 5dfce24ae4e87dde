"""The command line: thin verbs over importable functions.

Nothing heavy is imported before a verb needs it, so that `glm --help` answers at once.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from glm_composer.errors import UserError

app = typer.Typer(
    name="glm",
    help="Train, evaluate and convert data for genomic language models.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: importing rich would double the time it takes.
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Look at configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A yaml file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Overrides, dots for depth.", show_default=False
    ),
]


@app.command()
def convert(
    file: File,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only, no progress.")] = False,
) -> None:
    """Convert genomes and annotation to a dataset of MDS shards."""
    from glm_composer.conversion.command import run

    run(file, overrides or [], quiet=quiet)


@app.command()
def train(file: File, overrides: Overrides = None) -> None:
    """Train a model (on several devices: composer -n N train.py FILE ...)."""
    from glm_composer.config import Config
    from glm_composer.settings import load
    from glm_composer.training.inputs import check_data

    config = load(Config, file, overrides or [])
    check_data(config)
    # Only now: importing Composer takes seconds.
    from glm_composer.training.run import train as run

    run(config)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint file, or a run's directory.")],
    overrides: Overrides = None,
) -> None:
    """Measure held-out loss and variant scores of a checkpoint."""
    from glm_composer.report import print_summary
    from glm_composer.training.inputs import find_checkpoint

    find_checkpoint(checkpoint)
    from glm_composer.training.checkpoint import evaluate_checkpoint

    results = evaluate_checkpoint(checkpoint, overrides or [])
    print_summary(results.parent.parent, results)
    print(f"written to {results}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
) -> None:
    """Print a run's figures and write its report.html."""
    from glm_composer.report import print_summary, write_report

    print_summary(run)
    print(f"report: {write_report(run)}")


@config_app.command()
def show(file: File, overrides: Overrides = None) -> None:
    """Print the resolved configuration of a training run."""
    from glm_composer.config import Config
    from glm_composer.settings import dump, load

    print(dump(load(Config, file, overrides or [])), end="")


def report_errors(verb: Callable[[], object]) -> int:
    """Call a verb; turn a user's error into one line on stderr and exit code 2."""
    try:
        verb()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {error.filename or 'disk'}: {error.strerror}; make room", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command `glm`."""
    # Read when torch is loaded. OpenMP threads that spin for long while they wait make a shared
    # machine up to tenfold slower, and threads that never spin an idle one by half.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    sys.exit(report_errors(lambda: app(arguments, standalone_mode=True)))
