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
data_app = typer.Typer(
    help="Look at datasets and what runs have seen of them.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

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


@data_app.command()
def merge(
    file: File,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only, no progress.")] = False,
) -> None:
    """Put the slices of a conversion (glm convert FILE part=I/N) together to one dataset."""
    from glm_composer.conversion.command import run

    run(file, overrides or [], quiet=quiet, merge_only=True)


@app.command()
def train(file: File, overrides: Overrides = None) -> None:
    """Train a model (on several devices: composer -n N train.py FILE ...)."""
    from glm_composer.config import Config
    from glm_composer.settings import load
    from glm_composer.training.composer_import import import_composer
    from glm_composer.training.inputs import check_data, check_init

    config = load(Config, file, overrides or [])
    check_data(config)
    check_init(config)
    # Only now: importing Composer takes seconds.
    import_composer()
    from glm_composer.training.run import train as run

    run(config)


@app.command()
def metrics(
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES", help="A table of scored variants with labels.")
    ],
    score: Annotated[
        list[str] | None,
        typer.Option(help="A score column, higher = positive; by default all of them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to write; by default SCORES.metrics."),
    ] = None,
    quantity: Annotated[
        str | None, typer.Option(help="A column of measured values to correlate scores with.")
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(help="Row-aligned Parquet file with a column embedding: add a linear probe."),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(help="The published benchmark this is, or none; by default recognised."),
    ] = None,
    leave_out_missing: Annotated[
        bool, typer.Option("--leave-out-missing", help="Measure without rows that lack a score.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier call wrote.")
    ] = False,
) -> None:
    """Measure how well scores of variants rank; write metrics.json and report.html."""
    from glm_composer.report.command import metrics as run

    report = run(
        scores,
        out,
        scores=score or (),
        quantity=quantity,
        embeddings=probe,
        published=published,
        leave_out_missing=leave_out_missing,
        overwrite=overwrite,
    )
    print(f"report: {report}")


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
def score(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A checkpoint, a run's directory, a weights file or a GPN directory.",
        ),
    ],
    variants: Annotated[
        Path, typer.Argument(help="Parquet, TSV, CSV, VCF or BCF file.", metavar="VARIANTS")
    ],
    genome: Annotated[
        str, typer.Option(help="FASTA of the variants' assembly: a path or an address.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Written: .parquet, or .vcf.gz of a VCF.")
    ],
    genome_sha256: Annotated[
        str | None, typer.Option(help="Of the FASTA as it is; an address needs one.")
    ] = None,
    scores: Annotated[
        list[str] | None, typer.Option(help="A score's name; give it again for another.")
    ] = None,
    strands: Annotated[str | None, typer.Option(help="both (averaged) or forward.")] = None,
    window: Annotated[
        int | None, typer.Option(help="Bases around a variant, unless as in training.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows a forward pass.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16.")] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the model first.")] = False,
    contigs: Annotated[
        str | None, typer.Option(help="Table of the contigs' names, if they differ.")
    ] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Mark rows that do not fit the genome.")
    ] = False,
    chunk_rows: Annotated[int | None, typer.Option(help="Rows between saved points.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only, no progress.")] = False,
) -> None:
    """Score variants; goes on where it was stopped (several processes: composer -n N -c glm)."""
    from glm_composer.serving.command import score as run

    options = {
        "scores": scores,
        "strands": strands,
        "window": window,
        "batch_size": batch_size,
        "precision": precision,
        "compile": compile,
        "genome_sha256": genome_sha256,
        "contigs": contigs,
        "allow_mismatch": allow_mismatch,
        "chunk_rows": chunk_rows,
        "overwrite": overwrite,
    }
    run(checkpoint, variants, genome, out, options, quiet=quiet)


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


Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A checkpoint, a run's directory, a weights file or a GPN directory.",
    ),
]
Fasta = Annotated[str, typer.Option(help="FASTA of the assembly: a path or an address.")]
Sha256 = Annotated[str | None, typer.Option(help="Of the FASTA as it is; an address needs one.")]
Contigs = Annotated[Path | None, typer.Option(help="Table of the contigs' names, if they differ.")]
Strands = Annotated[str | None, typer.Option(help="both (averaged) or forward.")]
BatchSize = Annotated[int | None, typer.Option(help="Windows a forward pass.")]
Precision = Annotated[str | None, typer.Option(help="fp32 or bf16.")]
Compiled = Annotated[bool, typer.Option("--compile", help="Compile the model first.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Errors only, no progress.")]


@app.command()
def mutagenesis(
    model: Model,
    genome: Fasta,
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to make.")],
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHR:START-END",
            help="1-based, both ends included, as for samtools; may be repeated.",
        ),
    ] = None,
    bed: Annotated[
        Path | None, typer.Option(help="BED file of regions instead: 0-based, half-open.")
    ] = None,
    genome_sha256: Sha256 = None,
    contigs: Contigs = None,
    strands: Strands = None,
    window: Annotated[
        int | None, typer.Option(help="Bases around a position, unless as in training.")
    ] = None,
    batch_size: BatchSize = None,
    precision: Precision = None,
    compiled: Compiled = False,
    pictures: Annotated[bool, typer.Option(help="Draw each region.")] = True,
    quiet: Quiet = False,
) -> None:
    """Score every SNV of regions: a table, and a sequence logo above a map of each region."""
    from glm_composer.serving.region_command import mutagenesis as run

    options = {
        "strands": strands,
        "window": window,
        "batch_size": batch_size,
        "precision": precision,
        "compile": compiled,
        "genome_sha256": genome_sha256,
        "contigs": contigs,
    }
    run(model, genome, region or [], bed, out, options, pictures=pictures, quiet=quiet)


@app.command()
def embed(
    model: Model,
    windows: Annotated[
        Path,
        typer.Argument(
            metavar="WINDOWS",
            help="BED (.bed), a row a window; or variants (.tsv, .csv, .parquet, .vcf) to centre "
            "windows on.",
        ),
    ],
    genome: Fasta,
    out: Annotated[Path, typer.Option("--out", "-o", help="Parquet file to make.")],
    centre: Annotated[
        int | None, typer.Option(min=1, help="Average over so many central positions only.")
    ] = None,
    genome_sha256: Sha256 = None,
    contigs: Contigs = None,
    strands: Strands = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Bases around the middle of each row, unless a BED's rows as they are, or as in "
            "training around variants."
        ),
    ] = None,
    batch_size: BatchSize = None,
    precision: Precision = None,
    compiled: Compiled = False,
    quiet: Quiet = False,
) -> None:
    """Write the mean embedding of each window to Parquet."""
    from glm_composer.serving.region_command import embed as run

    options = {
        "strands": strands,
        "window": window,
        "batch_size": batch_size,
        "precision": precision,
        "compile": compiled,
        "genome_sha256": genome_sha256,
        "contigs": contigs,
    }
    run(model, genome, windows, out, options, centre=centre, quiet=quiet)


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


@config_app.command()
def show(file: File, overrides: Overrides = None) -> None:
    """Print the resolved configuration of a training run."""
    from glm_composer.config import Config
    from glm_composer.settings import dump, load

    print(dump(load(Config, file, overrides or [])), end="")


Dataset = Annotated[Path, typer.Argument(metavar="DIR", help="A dataset's directory.")]
Out = Annotated[Path | None, typer.Option(help="Write the figures there, instead of into DIR.")]


@data_app.command()
def verify(directory: Dataset) -> None:
    """Check every shard, count and place of a dataset; list all that is wrong."""
    from glm_composer.data_tools.command import verify as run

    if not run(directory):
        raise typer.Exit(1)


@data_app.command()
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


@data_app.command()
def stats(directory: Dataset, out: Out = None) -> None:
    """Count bases, case and GC by split and assembly; write data.html."""
    from glm_composer.data_tools.command import stats as run

    run(directory, out)


@data_app.command()
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


@data_app.command()
def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
) -> None:
    """Prove from a run's ledger that each epoch held every window exactly once."""
    from glm_composer.data.ledger import FILE_NAME
    from glm_composer.data.ledger import audit as prove

    print(prove(run / FILE_NAME))


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
