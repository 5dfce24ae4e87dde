"""`glm metrics` as a command runs it: read, measure, print, write files."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.evaluation.embedding_file import read_embeddings
from glm_composer.evaluation.figures import as_json, measure_all
from glm_composer.evaluation.published import BENCHMARKS
from glm_composer.evaluation.scored import ScoredVariants, add_score, read_scored, sha256_of
from glm_composer.report.document import replace_text
from glm_composer.report.score_names import PROBE
from glm_composer.report.scored import page
from glm_composer.report.terminal import print_figures

FIGURES, PAGE = "metrics.json", "report.html"


def metrics(
    path: Path,
    out: Path | None = None,
    *,
    scores: Sequence[str] = (),
    quantity: str | None = None,
    embeddings: Path | None = None,
    published: str | None = None,
    leave_out_missing: bool = False,
    overwrite: bool = False,
) -> Path:
    """Measure a table of scored variants; write `metrics.json` and `report.html`.

    Args:
        path: the table, see `read_scored`.
        out: directory to write into; by default the table's path with `.metrics` for a suffix.
        scores: names of score columns, see `read_scored`.
        quantity: column of a measured quantity.
        embeddings: file of row-aligned embeddings, to add a linear probe's figures.
        published: see `measure_all`.
        leave_out_missing: measure without the rows that lack a score.
        overwrite: replace the files that are there.

    Returns:
        The report's path.

    Raises:
        UserError: a table that cannot be measured, an output that exists or cannot be written.
    """
    if published not in (None, "none", *BENCHMARKS):
        raise UserError(
            f"unknown benchmark '{published}'; valid names: none, {', '.join(BENCHMARKS)}"
        )
    out = out or path.with_suffix(".metrics")
    existing = [out / name for name in (FIGURES, PAGE) if (out / name).exists()]
    if existing and not overwrite:
        raise UserError(f"{existing[0]}: exists; name another directory or say --overwrite")
    scored = read_scored(path, scores, quantity=quantity, leave_out_missing=leave_out_missing)
    if embeddings is not None:
        scored = _with_probe(scored, embeddings)
    figures = measure_all(scored, published)
    # All of it before any of it is written.
    files = {FIGURES: as_json(scored, figures) + "\n", PAGE: page(scored, figures)}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
    for name, text in files.items():
        replace_text(out / name, text)
    print_figures(scored, figures)
    return out / PAGE


def _with_probe(scored: ScoredVariants, embeddings: Path) -> ScoredVariants:
    from rich.console import Console
    from rich.progress import Progress

    from glm_composer.evaluation.probe import probe

    if not scored.labelled or "chrom" not in scored.table.columns:
        raise UserError(f"{scored.path}: a probe needs columns 'label' (0/1) and 'chrom'")
    embedding = read_embeddings(embeddings, scored)
    chrom = scored.table["chrom"]
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("probing by chromosome", total=chrom.n_unique())
        predicted = probe(
            embedding,
            scored.table["label"],
            chrom,
            jobs=len(os.sched_getaffinity(0)),
            advance=lambda done: bar.update(task, advance=done),
        )
    said = {
        "probe.embeddings": str(embeddings),
        "probe.sha256": sha256_of(embeddings),
        "probe.dimensions": str(embedding.shape[1]),
    }
    return replace(add_score(scored, PROBE, predicted), metadata={**scored.metadata, **said})
