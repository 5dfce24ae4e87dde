"""`glm score`: words about what was done, and about what was not."""

import logging
import os
from pathlib import Path
from typing import Any

from glm_composer.serving.options import ScoreOptions
from glm_composer.settings import structure


def log_notes(quiet: bool) -> None:
    """Let what is noted on the way, as names of contigs that were looked up, reach the user."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not quiet and os.environ.get("RANK", "0") == "0":
        logging.getLogger("glm_composer").setLevel(logging.INFO)


def score(
    checkpoint: Path,
    variants: Path,
    genome: str | Path,
    out: Path,
    options: dict[str, Any],
    *,
    quiet: bool = False,
) -> None:
    """Score a file of variants, and say what was done.

    Args:
        checkpoint: what `load_model` takes.
        variants: file of them.
        genome: FASTA of their assembly, or its address.
        out: .parquet, or .vcf.gz where the variants are of a VCF.
        options: of `ScoreOptions`; None or empty for a default.
        quiet: errors only.

    Raises:
        UserError: as `score_file`.
    """
    log_notes(quiet)
    given = {key: value for key, value in options.items() if value not in (None, [])}
    settings = structure(ScoreOptions, given, "glm score")
    # Only now: it imports torch.
    from glm_composer.serving.score import score_file

    done = score_file(checkpoint, variants, genome, out, settings, progress=not quiet)
    if quiet or done.rank:
        return
    checked = done.checked
    print(f"scored {checked.scorable:,} of {checked.rows:,} variants")
    for problem, count in sorted(checked.counts.items()):
        rows = checked.shown[problem]
        more = "; ..." if count > len(rows) else ""
        print(f"not scored: {count:,} {problem} ({'; '.join(rows)}{more})")
    print(f"written to {out}")
    if done.metrics:
        print(f"metrics: {done.metrics}")
