"""The verbs about variants and regions: scores, metrics, every variant of a region, embeddings."""

from pathlib import Path
from typing import Annotated

import typer

from glm_composer.cli_options import Quiet

app = typer.Typer()

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
BatchSize = Annotated[
    int | None, typer.Option(help="Windows a forward pass; 16 on a CPU, 64 on a GPU.")
]
Precision = Annotated[str | None, typer.Option(help="fp32 or bf16.")]
Compiled = Annotated[bool, typer.Option("--compile", help="Compile the model first.")]


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
def score(
    model: Model,
    variants: Annotated[
        Path, typer.Argument(help="Parquet, TSV, CSV, VCF or BCF file.", metavar="VARIANTS")
    ],
    genome: Fasta,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Written: .parquet, or .vcf.gz of a VCF.")
    ],
    genome_sha256: Sha256 = None,
    scores: Annotated[
        list[str] | None, typer.Option(help="A score's name; give it again for another.")
    ] = None,
    strands: Strands = None,
    window: Annotated[
        int | None, typer.Option(help="Bases around a variant, unless as in training.")
    ] = None,
    batch_size: BatchSize = None,
    precision: Precision = None,
    compiled: Compiled = False,
    contigs: Contigs = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Mark rows that do not fit the genome.")
    ] = False,
    chunk_rows: Annotated[int | None, typer.Option(help="Rows between saved points.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score variants; goes on where it was stopped (several processes: composer -n N -c glm)."""
    from glm_composer.serving.command import score as run

    options = {
        "scores": scores,
        "strands": strands,
        "window": window,
        "batch_size": batch_size,
        "precision": precision,
        "compile": compiled,
        "genome_sha256": genome_sha256,
        "contigs": contigs,
        "allow_mismatch": allow_mismatch,
        "chunk_rows": chunk_rows,
        "overwrite": overwrite,
    }
    run(model, variants, genome, out, options, quiet=quiet)


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
