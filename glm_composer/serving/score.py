"""Scores a file of variants of any size: check, score chunk by chunk, join.

The chunks' scores outlive a kill (see `parts`), and any number of processes share them out. The
numbers depend on the `Plan` only, not on who scored which chunk or how often it was begun.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from glm_composer.errors import UserError
from glm_composer.evaluation.scores import score_variants
from glm_composer.evaluation.variants import allele_ids
from glm_composer.genome import Genome
from glm_composer.genome_source import local_genome
from glm_composer.progress import progress_bar
from glm_composer.registry import scores
from glm_composer.serving.check import Checked, RowChecks, check_table, refuse
from glm_composer.serving.figures import metrics_path
from glm_composer.serving.join import PROBLEM, check_output, join
from glm_composer.serving.model import ServedModel, load_model
from glm_composer.serving.options import ScoreOptions
from glm_composer.serving.parts import Parts
from glm_composer.serving.plan import Plan, digest_file
from glm_composer.serving.ranks import joined_ranks
from glm_composer.variant_files.contigs import ContigNames
from glm_composer.variant_files.reader import VariantFile, open_variants


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What was done.

    Attributes:
        checked: what the table holds.
        metrics: file of the metrics, where the table has labels.
        rank: of this process.
    """

    checked: Checked
    metrics: Path | None
    rank: int


def score_file(
    checkpoint: Path,
    variants: Path,
    genome: str | Path,
    out: Path,
    options: ScoreOptions,
    progress: bool = False,
) -> Scored:
    """Score every variant of a file; call it in each process of a job.

    Killed at any point, the same call goes on from the finished chunks.

    Args:
        checkpoint: what `load_model` takes.
        variants: what `open_variants` takes.
        genome: FASTA of the variants' assembly, or its address, see `local_genome`.
        out: .parquet, or .vcf.gz where `variants` is a VCF.
        options: how.
        progress: show bars.

    Raises:
        UserError: a file, row or value that is wrong, before anything is scored; an output that
            exists; unfinished scores of another plan; a full disk.
    """
    for name in options.scores:
        # An unknown one is refused before anything is loaded.
        scores.get(name)
    names = ContigNames.from_file(options.contigs) if options.contigs else ContigNames.known()
    with ExitStack() as stack:
        ranks = stack.enter_context(joined_ranks())
        progress = progress and ranks.rank == 0
        table = stack.enter_context(open_variants(variants))
        fasta = local_genome(genome, sha256=options.genome_sha256)
        model = load_model(
            checkpoint,
            batch_size=options.batch_size,
            precision=options.precision,
            compile=options.compile,
            window=options.window,
        )

        def begin() -> tuple[Plan, Checked, list[int]]:
            plan = _plan(model, table, fasta, options)
            for name in plan.scores:
                # One that this model cannot have is refused.
                scores.get(name)(model.causal)
            check_output(table, out, plan.scores)
            parts = Parts(out, plan)
            stack.enter_context(parts.held())
            parts.begin(options.overwrite, [metrics_path(out)])
            checked = _check(table, fasta, names, parts, progress)
            chunks = -(-checked.rows // plan.chunk_rows)
            return plan, checked, [each for each in range(chunks) if not parts.has(each)]

        plan, checked, missing = ranks.share(begin)
        parts = Parts(out, plan)
        bases = stack.enter_context(Genome(fasta))
        checks = RowChecks(bases, names, checked.repeated)

        def score(chunk: pl.DataFrame, start: int) -> pl.DataFrame:
            return _score_chunk(model, plan, bases, *checks(chunk, start))

        with _bar(checked, parts, missing, progress) as look:
            _score_chunks(score, table, parts, missing[ranks.rank :: ranks.count], look)
            ranks.wait()
            look()
        if ranks.rank == 0:
            join(table, parts)
            parts.remove()
        metrics = metrics_path(out) if "label" in table.columns else None
        return Scored(checked=checked, metrics=metrics, rank=ranks.rank)


def _plan(model: ServedModel, table: VariantFile, genome: Path, options: ScoreOptions) -> Plan:
    return Plan(
        model=model.digest,
        network=model.settings,
        genome=digest_file(genome),
        variants=digest_file(table.path),
        contigs=digest_file(options.contigs) if options.contigs else "",
        scores=list(dict.fromkeys(options.scores)),
        window=model.window,
        strands=options.strands,
        precision=options.precision,
        allow_mismatch=options.allow_mismatch,
        chunk_rows=options.chunk_rows,
    )


def _check(
    table: VariantFile, genome: Path, names: ContigNames, parts: Parts, progress: bool
) -> Checked:
    """Look at the whole table, unless that was done before a kill."""
    before = parts.checked()
    if before is not None:
        return Checked.load(before)
    try:
        with (
            Genome(genome) as bases,
            progress_bar("checking", None, "variants", progress) as advance,
        ):
            chunks = (_told(chunk, advance) for chunk in table.chunks(parts.plan.chunk_rows))
            checks = RowChecks(bases, names)
            scratch = parts.directory / "keys"
            checked = check_table(chunks, checks, bases, table.path, scratch)
        refuse(checked, table.path, genome, parts.plan.allow_mismatch)
    except UserError:
        parts.remove()
        raise
    parts.keep_checked(checked.dump())
    return checked


def _told(chunk: pl.DataFrame, advance: Callable[[int], None]) -> pl.DataFrame:
    advance(len(chunk))
    return chunk


@contextmanager
def _bar(
    checked: Checked, parts: Parts, missing: list[int], visible: bool
) -> Iterator[Callable[[], None]]:
    """Show how much of what is missing is done, and give a function that looks again.

    It counts the parts, for other processes make them as well.
    """
    rows = parts.plan.chunk_rows
    sizes = [min(rows, checked.rows - each * rows) for each in missing]
    total, before, shown = sum(sizes), parts.count(), 0
    with progress_bar("scoring", total, "variants", visible) as advance:

        def look() -> None:
            nonlocal shown
            if visible:
                now = min((parts.count() - before) * rows, total)
                advance(now - shown)
                shown = now

        yield look


def _score_chunks(
    score: Callable[[pl.DataFrame, int], pl.DataFrame],
    table: VariantFile,
    parts: Parts,
    mine: list[int],
    look: Callable[[], None],
) -> None:
    """Score some of a table's chunks, by their numbers in ascending order."""
    left = set(mine)
    if not left:
        return
    rows = parts.plan.chunk_rows
    for number, chunk in enumerate(table.chunks(rows, mine[0] * rows), start=mine[0]):
        if number in left:
            parts.write(number, score(chunk, number * rows))
            left.remove(number)
            look()
        if not left:
            return


def _score_chunk(
    model: ServedModel, plan: Plan, bases: Genome, placed: pl.DataFrame, problems: pl.Series
) -> pl.DataFrame:
    """Scores of rows, null where there is a problem, which `problem` names."""
    fine = problems == ""
    rows = placed.filter(fine)
    positions = rows["pos"].to_numpy() - 1
    windows = bases.windows(rows["chrom"].to_list(), positions, plan.window)
    values = score_variants(
        model.predictor, windows, *allele_ids(rows), plan.scores, strands=plan.strands
    )
    places = fine.arg_true()
    columns = {
        name: pl.Series([None] * len(placed), dtype=pl.Float32).scatter(places, values[name])
        for name in plan.scores
    }
    problem = pl.select(pl.when(problems != "").then(problems)).to_series()
    return pl.DataFrame({**columns, PROBLEM: problem})
