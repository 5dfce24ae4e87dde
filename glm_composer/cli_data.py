"""The verbs of `glm data`: what a dataset holds, and what runs have seen of it."""

from pathlib import Path
from typing import Annotated

import typer

from glm_composer.cli_options import File, Overrides, Quiet

app = typer.Typer(help="Look at datasets and what runs have seen of them.", no_args_is_help=True)


@app.command()
def merge(
    file: File,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Put the slices of a conversion (glm convert FILE part=I/N) together to one dataset."""
    from glm_composer.conversion.command import run

    run(file, overrides or [], quiet=quiet, merge_only=True)


Dataset = Annotated[Path, typer.Argument(metavar="DIR", help="A dataset's directory.")]
Out = Annotated[Path | None, typer.Option(help="Write the figures there, instead of into DIR.")]


@app.command()
def verify(directory: Dataset) -> None:
    """Check every shard, count and place of a dataset; list all that is wrong."""
    from glm_composer.data_tools.command import verify as run

    if not run(directory):
        raise typer.Exit(1)


@app.command()
def inspect(
    directory: Dataset,
    sample: Annotated[
        int | None, typer.Argument(metavar="[ID]", min=0, help="A window's sample id, from 0.")
    ] = None,
    split: Annotated[str, typer.Option(help="The window's split.")] = "train",
    config: Annotated[
        Path | None, typer.Option(help="Show it as a run of this yaml file sees it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the run's.")] = None,
    epoch: Annotated[
        int | None,
        typer.Option(min=0, help="Show what training asks of it in this epoch, from 0."),
    ] = None,
) -> None:
    """Show what a dataset holds, or one window of it."""
    from glm_composer.data_tools.command import inspect as run

    run(directory, sample, split, config=config, seed=seed, epoch=epoch)


@app.command()
def stats(directory: Dataset, out: Out = None) -> None:
    """Count bases, case and GC by split and assembly; write data.html."""
    from glm_composer.data_tools.command import stats as run

    run(directory, out)


@app.command()
def leakage(
    directory: Dataset,
    out: Out = None,
    train: Annotated[str, typer.Option(help="The split that must not know the others.")] = "train",
    threshold: Annotated[
        float | None, typer.Option(help="Share of a window's 16-mers that counts as near.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=0, help="How many of the worst pairs to show.")] = 10,
) -> None:
    """Report held-out windows that a train window resembles; write data.html."""
    from glm_composer.data_tools.command import leakage as run

    run(directory, out, train, threshold, pairs)


@app.command()
def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
) -> None:
    """Prove from a run's ledger that each epoch held every window exactly once."""
    from glm_composer.data.ledger import FILE_NAME
    from glm_composer.data.ledger import audit as prove

    print(prove(run / FILE_NAME))
