"""The command line: thin verbs over importable functions.

Nothing heavy is imported before a verb needs it, so that `glm --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from glm_composer import (
    cli_checkpoints,
    cli_config,
    cli_data,
    cli_init,
    cli_jobs,
    cli_plugins,
    cli_runs,
    cli_sweep,
    cli_variants,
)
from glm_composer.cli_options import File, Overrides, Quiet
from glm_composer.cli_values import spare_pydantic
from glm_composer.exits import report_errors

app = typer.Typer(
    name="glm",
    help="Train, evaluate and convert data for genomic language models.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: importing rich would double the time it takes.
    rich_markup_mode=None,
)
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_plugins.app, name="plugins")
app.add_typer(cli_init.app)
app.add_typer(cli_sweep.app)
app.add_typer(cli_jobs.app, name="jobs")
app.add_typer(cli_checkpoints.app, name="checkpoints")
app.add_typer(cli_runs.app, name="runs")


@app.command()
def convert(
    file: File,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Convert genomes and annotation to a dataset of MDS shards."""
    from glm_composer.conversion.command import run

    run(file, overrides or [], quiet=quiet)


@app.command()
def train(file: File, overrides: Overrides = None) -> None:
    """Train a model (on several devices: composer -n N train.py FILE ...)."""
    from glm_composer.config import Config
    from glm_composer.settings import load
    from glm_composer.training.start import start

    start(load(Config, file, overrides or []))


app.command()(cli_runs.rerun)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint file, or a run's directory.")],
    overrides: Overrides = None,
    config: Annotated[
        Path | None,
        typer.Option(help="For weights of no run: a run's yaml file to evaluate them by."),
    ] = None,
) -> None:
    """Measure held-out loss and variant scores of a checkpoint."""
    from glm_composer.report import print_summary
    from glm_composer.training.composer_import import import_composer
    from glm_composer.training.inputs import find_checkpoint, find_weights

    if config is None:
        find_checkpoint(checkpoint)
    else:
        find_weights(checkpoint)
    import_composer()
    from glm_composer.training.checkpoint import evaluate_checkpoint

    results = evaluate_checkpoint(checkpoint, overrides or [], config)
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


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of runs.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory for compare.html and compare.csv."),
    ] = None,
) -> None:
    """Compare metrics of several runs over training: a table, a page of curves, a CSV."""
    from glm_composer.report.compare import print_comparison, read_comparison, write_comparison

    comparison = read_comparison(runs)
    print_comparison(comparison)
    if out is not None:
        print(f"written to {write_comparison(comparison, out)}")


@app.command("import-gpn")
def import_gpn(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="With config.json and model.safetensors.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Weights file to write; by default DIR.safetensors."),
    ] = None,
) -> None:
    """Turn a Hugging Face checkpoint of GPN's ByteNet into weights for init_from=FILE."""
    from glm_composer.training.weights import import_gpn as run

    out = out or Path(f"{directory.resolve()}.safetensors")
    run(directory, out)
    print(f"written to {out}")


@app.command("export-gpn")
def export_gpn(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint file, a weights file, or a run's directory.")
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to write.")],
) -> None:
    """Turn a ByteNet's checkpoint into a directory that the gpn package loads."""
    from glm_composer.training.weights import export_gpn as run

    run(checkpoint, directory)
    print(f"written to {directory}")


# Without a name: beside the verbs above.
app.add_typer(cli_variants.app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command `glm`."""
    # Read when torch is loaded. OpenMP threads that spin for long while they wait make a shared
    # machine up to tenfold slower, and threads that never spin an idle one by half.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    spare_pydantic()
    sys.exit(report_errors(lambda: app(arguments, standalone_mode=True)))
