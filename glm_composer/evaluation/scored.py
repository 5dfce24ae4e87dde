"""A table of scored variants as a file holds it: read, checked, its scores told from the rest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from glm_composer.errors import UserError
from glm_composer.evaluation.match_groups import broken_group
from glm_composer.variant_files import csv_table

KEY = ("chrom", "pos", "ref", "alt")

# Numbers that TraitGym's tables carry beside the variants; one of them, pip, is the label itself.
_NOT_SCORES = {"pos", "label", "pip", "maf", "ld_score", "AF", "tss_dist", "exon_dist"}
# What libraries write about a schema says nothing of where a table comes from.
_SCHEMAS = ("ARROW:schema", "pandas", "huggingface")


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredVariants:
    """Variants with one or more scores.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        metadata: what the file says of itself, such as the digests of model and genome.
        table: rows that are measured, [n].
        scores: columns that are scores, higher = more likely positive.
        quantity: column of a measured quantity, None if there is none.
        labelled: whether `label` tells positives (1) from controls (0).
        left_out: rows without a score, which are not in `table`.
    """

    path: Path
    sha256: str
    metadata: dict[str, str]
    table: pl.DataFrame
    scores: list[str]
    quantity: str | None
    labelled: bool
    left_out: int


def read_scored(
    path: Path,
    scores: Sequence[str] = (),
    *,
    quantity: str | None = None,
    leave_out_missing: bool = False,
) -> ScoredVariants:
    """Read scored variants.

    Args:
        path: Parquet, or TSV or CSV with a header (also .gz): a column `label` (0/1) or that of
            `quantity`, score columns, and any of `chrom`, `pos`, `ref`, `alt`, `match_group`,
            `consequence`, `tss_dist`.
        scores: names of the score columns; by default those that the file says `glm score` wrote,
            else every column of floating-point numbers that TraitGym's tables do not have.
        quantity: column of a measured quantity to correlate scores with; if that is `label`, the
            table has no positives and controls.
        leave_out_missing: measure without the rows that lack a score, instead of refusing them;
            metrics of match groups that this takes apart are not defined.

    Raises:
        UserError: names the file, and the row and column, that is wrong.
    """
    table, metadata = read_table(path)
    if table.is_empty():
        raise UserError(f"{path}: a header but no rows; expected one variant a row")
    asked = list(scores) or _stated_scores(table, metadata)
    names = _score_names(path, table, asked, quantity)
    labelled = "label" in table.columns and quantity != "label"
    if quantity is None and not labelled:
        raise UserError(
            f"{path}: no column 'label' (0/1) to measure scores by; columns: "
            f"{', '.join(table.columns)}; for a measured quantity, say which with --quantity"
        )
    if labelled:
        table = table.with_columns(label=_labels(path, table["label"]))
    if quantity:
        _check_finite(path, table, quantity, "fill it or remove these rows")
    for column in ("chrom", "match_group"):
        if column in table.columns:
            empty = table[column].is_null()
            _refuse(path, table, column, empty, "fill it or leave the column out")
    if labelled and "match_group" in table.columns:
        broken = broken_group(table["label"], table["match_group"])
        if broken:
            raise UserError(f"{path}: {broken}")
    table = table.with_columns(pl.col(names).cast(pl.Float64))
    kept = table
    if leave_out_missing:
        values = pl.col(names)
        kept = table.filter(pl.all_horizontal(values.is_not_null() & values.is_not_nan()))
        if kept.is_empty():
            raise UserError(f"{path}: no row has all of the scores {', '.join(names)}")
        if labelled:
            _labels(path, kept["label"])
    _check_repeated(path, kept)
    for name in names:
        _check_finite(path, kept, name, "--leave-out-missing measures the rows that have a score")
    return ScoredVariants(
        path=path,
        sha256=sha256_of(path),
        metadata=metadata,
        table=kept,
        scores=names,
        quantity=quantity,
        labelled=labelled,
        left_out=len(table) - len(kept),
    )


def add_score(scored: ScoredVariants, name: str, values: np.ndarray) -> ScoredVariants:
    """Return the same variants with one more score, [n] values.

    Raises:
        UserError: the table has a column of that name.
    """
    if name in scored.table.columns:
        raise UserError(f"{scored.path}: has a column '{name}' already; rename it")
    table = scored.table.with_columns(pl.Series(name, values))
    return replace(scored, table=table, scores=[*scored.scores, name])


def read_table(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Read a table and what its file says of itself; formats as in `read_scored`.

    Raises:
        UserError: no such file, another format, a damaged file.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if plain.suffix not in (".parquet", ".tsv", ".csv"):
        raise UserError(f"{path}: expected .parquet, .tsv, .csv or one of the latter with .gz")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if plain.suffix == ".parquet":
            return pl.read_parquet(path), {
                key: value
                for key, value in pl.read_parquet_metadata(path).items()
                if key not in _SCHEMAS
            }
        # Chromosomes that are numbers at first may end on X.
        return csv_table.whole(path, text=("chrom",), nulls=("", "NA")), {}
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as a table: {reason}") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stated_scores(table: pl.DataFrame, metadata: dict[str, str]) -> list[str]:
    """Scores that the file itself names, as `glm score` does, as far as they are still there."""
    try:
        stated = json.loads(metadata.get("glm_composer.scores", "[]"))
    except ValueError:
        return []
    return [name for name in stated if name in table.columns] if isinstance(stated, list) else []


def _score_names(
    path: Path, table: pl.DataFrame, asked: list[str], quantity: str | None
) -> list[str]:
    columns = ", ".join(table.columns)
    wanted = [*asked, *([quantity] if quantity else [])]
    for name in wanted:
        if name not in table.columns:
            raise UserError(f"{path}: no column '{name}'; columns: {columns}")
        if not (table[name].dtype.is_numeric() or table[name].dtype == pl.Boolean):
            raise UserError(f"{path}: column '{name}' holds {table[name].dtype}, not numbers")
    found = list(dict.fromkeys(asked)) or [
        name
        for name, kind in table.schema.items()
        if kind.is_float() and name not in _NOT_SCORES and name != quantity
    ]
    if not found:
        raise UserError(f"{path}: no score column; name one with --score; columns: {columns}")
    return found


def _labels(path: Path, label: pl.Series) -> pl.Series:
    """Labels as booleans; 0/1 and false/true, as numbers or as text."""
    words = label.cast(pl.String).str.to_lowercase().replace({"true": "1", "false": "0"})
    value = words.cast(pl.Float64, strict=False)
    bad = ~value.is_in([0.0, 1.0]).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise UserError(
            f"{path}: row {row + 1} has label {label[row]} ({bad.sum()} of {len(label)} rows are "
            "not 0/1); for a measured quantity use --quantity label"
        )
    positives = int(value.sum())
    if positives in (0, len(value)):
        raise UserError(
            f"{path}: {positives} positives among {len(value)} variants; ranking needs at least "
            "one positive and one control"
        )
    return value.cast(pl.Boolean)


def _check_finite(path: Path, table: pl.DataFrame, name: str, what: str) -> None:
    value = table[name].cast(pl.Float64)
    _refuse(path, table, name, ~value.is_finite().fill_null(False), what)


def _refuse(path: Path, table: pl.DataFrame, name: str, bad: pl.Series, what: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise UserError(
            f"{path}: row {row + 1} has {name} {table[name][row]} ({bad.sum()} of {len(table)} "
            f"rows are like that); {what}"
        )


def _check_repeated(path: Path, table: pl.DataFrame) -> None:
    if not set(KEY) <= set(table.columns):
        return
    again = ~table.select(pl.struct(KEY).is_first_distinct()).to_series()
    if again.any():
        row = int(again.arg_max() or 0)
        variant = ":".join(map(str, table.select(KEY).row(row)))
        raise UserError(
            f"{path}: row {row + 1} repeats the variant {variant} ({again.sum()} such rows); keep "
            "one row a variant"
        )
