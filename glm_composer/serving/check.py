"""A look at the whole table before anything is scored: what is wrong with it shows at once.

Rows that do not fit the genome (another base there, no such contig or position, N) say that table
and genome do not belong together, and repeated variants that something went wrong in making the
table: both refuse the file, unless they are allowed. Rows that no score here is defined of
(insertions, deletions, longer substitutions) are part of many a good file: they are marked and
counted.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from glm_composer.errors import UserError
from glm_composer.evaluation.match_groups import broken_group
from glm_composer.genome import Genome
from glm_composer.serving.repeats import keys_of, repeated_rows, variant_of
from glm_composer.variant_files.checks import row_problems
from glm_composer.variant_files.columns import KEY
from glm_composer.variant_files.contigs import ContigNames

REPEATED = "duplicate"
# Problems of rows that do not fit the genome.
MISFITS = ("ref_mismatch", "outside", "unknown_contig", "n_at_site")

_SHOWN = 10
_TRUE = ("1", "1.0", "true")
_LABELS = ("0", "0.0", "false", *_TRUE)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a table holds.

    Attributes:
        rows: how many.
        counts: rows by problem.
        shown: the first ten rows with each problem, in words.
        repeated: numbers, from 0, of rows whose like came in an earlier chunk.
        broken_group: what is wrong with the match groups of its labels; None if nothing is.
    """

    rows: int
    counts: dict[str, int]
    shown: dict[str, list[str]]
    repeated: list[int]
    broken_group: str | None = None

    @property
    def scorable(self) -> int:
        """Rows without a problem."""
        return self.rows - sum(self.counts.values())

    def dump(self) -> str:
        """As JSON text, for `load`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def load(cls, text: str) -> "Checked":
        """From what `dump` returned."""
        return cls(**json.loads(text))


class RowChecks:
    """Finds the problems of rows, chunk by chunk; made once in every process.

    Args:
        genome: that the rows should be of.
        names: what else contigs are called.
        repeated: numbers of rows that are known to be repeated.
    """

    def __init__(
        self,
        genome: Genome,
        names: ContigNames,
        repeated: list[int] | None = None,
    ):
        self._genome, self._names = genome, names
        self._repeated = np.array(repeated or [], dtype=np.int64)

    def __call__(self, chunk: pl.DataFrame, start: int) -> tuple[pl.DataFrame, pl.Series]:
        """Return a chunk on the genome's contigs, and what is wrong with each row.

        Args:
            chunk: from `VariantFile.chunks`.
            start: number, from 0, of its first row.

        Returns:
            The chunk with the genome's names, and str [n]: "" where nothing is wrong.
        """
        names = self._names.resolve(chunk["chrom"].to_list(), self._genome.lengths)
        placed = chunk.with_columns(pl.Series("chrom", names))
        problems = row_problems(placed, self._genome)
        first, end = np.searchsorted(self._repeated, [start, start + len(chunk)])
        again = np.zeros(len(chunk), dtype=bool)
        again[self._repeated[first:end] - start] = True
        marked = pl.select(
            pl.when((problems == "") & pl.Series(again)).then(pl.lit(REPEATED)).otherwise(problems)
        )
        return placed, marked.to_series().alias("problem")


def check_table(
    chunks: Iterator[pl.DataFrame], checks: RowChecks, genome: Genome, source: Path, scratch: Path
) -> Checked:
    """Look at every row of a table once, in memory that does not grow with it.

    Args:
        chunks: of the table, from its first row.
        checks: of their rows.
        genome: that the rows should be of.
        source: the table's file, for messages.
        scratch: file to write keys of the variants into; removed again.

    Raises:
        UserError: a label that is neither 0 nor 1.
    """
    counts: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    rows = 0
    grouped: list[pl.DataFrame] = []

    def note(row: int, problem: str, words: Callable[[], str]) -> None:
        counts[problem] += 1
        if counts[problem] <= _SHOWN:
            shown.setdefault(problem, []).append(f"row {row + 1}: {words()}")

    try:
        with scratch.open("w+b") as keys:
            for chunk in chunks:
                if "label" in chunk.columns:
                    _check_labels(chunk["label"], source, rows)
                    if "match_group" in chunk.columns:
                        # All of them together, as metrics will ask for them, too.
                        grouped.append(chunk.select("label", "match_group"))
                placed, problems = checks(chunk, rows)
                keys.write(keys_of(placed, problems, genome, rows).tobytes())
                for row in (problems != "").arg_true().to_list():
                    words = partial(_describe, placed, row, problems[row], genome, rows)
                    note(rows + row, problems[row], words)
                rows += len(chunk)
            repeated, firsts, values = repeated_rows(keys, rows)
    finally:
        scratch.unlink(missing_ok=True)
    for row, first, key in zip(repeated, firsts, values, strict=True):
        note(row, REPEATED, partial(_told_twice, key, first, genome))
    broken = None
    if grouped:
        table = pl.concat(grouped)
        broken = broken_group(positives(table["label"]), table["match_group"])
    return Checked(
        rows=rows, counts=dict(counts), shown=shown, repeated=repeated, broken_group=broken
    )


def refuse(checked: Checked, source: Path, genome: Path, allow_mismatch: bool) -> None:
    """Refuse a table that must not be scored.

    Raises:
        UserError: rows do not fit the genome or repeat others and that is not allowed, no row can
            be scored, or a match group has no positive or no control.
    """
    wrong, remedies = [], []
    misfits = {name: checked.counts[name] for name in MISFITS if name in checked.counts}
    if misfits:
        wrong.append(
            f"{sum(misfits.values())} of {checked.rows} rows do not fit {genome} "
            f"({_counted(misfits)}); {_listed(checked, misfits)}"
        )
        remedies.append("use the genome of the table")
    if REPEATED in checked.counts:
        wrong.append(
            f"{checked.counts[REPEATED]} of {checked.rows} rows have the variant of an earlier "
            f"row; {'; '.join(checked.shown[REPEATED])}"
        )
        remedies.append("remove the repeated rows")
    if wrong and not allow_mismatch:
        raise UserError(
            f"{source}: {'; '.join([*wrong, *remedies])}, or give --allow-mismatch to mark these "
            "rows and score the others"
        )
    if not checked.scorable:
        raise UserError(
            f"{source}: none of its {checked.rows} rows can be scored "
            f"({_counted(checked.counts)}); {_listed(checked, checked.counts)}"
        )
    if checked.broken_group:
        raise UserError(f"{source}: {checked.broken_group}")


def positives(labels: pl.Series) -> pl.Series:
    """Labels, 0/1 or false/true as numbers or as text, as bool [n]."""
    return labels.cast(pl.String).str.to_lowercase().is_in(_TRUE)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _listed(checked: Checked, problems: Iterable[str]) -> str:
    rows = [f"{row}: {name}" for name in problems for row in checked.shown[name]]
    return "; ".join(rows[:_SHOWN])


def _describe(placed: pl.DataFrame, row: int, problem: str, genome: Genome, start: int) -> str:
    """A row with a problem in words, for a piece of a table whose first row is number `start`."""
    chrom, pos, ref, alt = placed.select("chrom", "pos", "ref", "alt").row(row)
    words = f"{chrom}:{pos} {ref}>{alt}"
    if problem == "ref_mismatch":
        found = genome.windows([chrom], np.array([pos - 1]), 1)[0, 0]
        words += f" where the genome has {chr(found).upper()}"
    if problem == REPEATED:
        same = placed.select(pl.struct(KEY) == pl.struct(KEY).get(row)).to_series()
        words += f" as in row {start + (same.arg_max() or 0) + 1}"
    return words


def _told_twice(key: int, first: int, genome: Genome) -> str:
    return f"{variant_of(key, genome)} as in row {first + 1}"


def _check_labels(labels: pl.Series, source: Path, start: int) -> None:
    text = labels.cast(pl.String).str.to_lowercase()
    bad = ~text.is_in(_LABELS).fill_null(False)
    if bad.any():
        row = bad.arg_max() or 0
        raise UserError(
            f"{source}: row {start + row + 1}, column 'label': {labels[row]!r} is neither 0 nor "
            "1; mend it, or rename the column: a measured quantity goes by another name, and "
            "`glm metrics OUT --quantity NAME` correlates the scores with it"
        )
