"""Variant tables in TraitGym's columns: read, checked row by row, and checked against a genome.

One row is one single-nucleotide variant: `chrom` (string), `pos` (1-based), `ref`, `alt`, and
where present `label` (0/1) and whatever else the table carries. Nothing is dropped in silence: a
bad row is an error that names it, counting from 1 below the header.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.variant_files import csv_table
from glm_composer.variant_files.columns import KEY, labels, refuse_repeated

REQUIRED = KEY


def read_variants(path: str | Path) -> pl.DataFrame:
    """Read a table of single-nucleotide variants.

    Args:
        path: Parquet, or TSV or CSV with a header (also .gz). Alleles in lower case are read as
            upper case; `label` may be 0/1 or false/true.

    Returns:
        The rows as given, with `chrom` str, `pos` int64 (1-based), `ref` and `alt` str of one
        letter of ACGT, `label` bool where present, and the other columns untouched.

    Raises:
        UserError: names the file, and the row, column and value: no such file, another format, a
            missing column, no rows, a position that is no integer or below 1, an allele other than
            one of ACGT, ref equal to alt, a label other than 0/1, a variant given twice.
    """
    source = Path(path)
    raw = _read_table(source)
    missing = [column for column in REQUIRED if column not in raw.columns]
    if missing:
        raise UserError(
            f"{source}: no column '{missing[0]}'; a variant table needs {', '.join(REQUIRED)} "
            f"and this one has {', '.join(raw.columns)}"
        )
    if raw.is_empty():
        raise UserError(f"{source}: a header but no rows; expected one variant a row")

    checked = [_chromosomes(source, raw), _positions(source, raw)]
    checked += [_alleles(source, raw, column) for column in ("ref", "alt")]
    if "label" in raw.columns:
        checked.append(labels(source, raw["label"]))
    table = raw.with_columns(checked)
    _refuse(source, raw, "alt", table["ref"] == table["alt"], "the same as ref")
    refuse_repeated(source, table)
    return table


def allele_ids(table: pl.DataFrame) -> tuple[sequence.Bytes, sequence.Bytes]:
    """Return the ref and alt of each row as base ids, two uint8 [n]."""
    ref, alt = ("".join(table[column].to_list()) for column in ("ref", "alt"))
    return sequence.encode(ref), sequence.encode(alt)


def check_reference(
    table: pl.DataFrame,
    genome: Genome,
    *,
    source: str | Path = "variant table",
    allow_mismatch: bool = False,
) -> NDArray[np.bool_]:
    """Compare every ref allele with the genome.

    Args:
        table: what `read_variants` returns; positions are 1-based.
        genome: the assembly the positions should be of; its case does not matter.
        source: the table's name, for the message.
        allow_mismatch: return a mask with false entries instead of refusing.

    Returns:
        bool [n], true where the contig exists, the position lies on it and its base is ref.

    Raises:
        UserError: rows that do not fit, unless allowed: how many of each kind, and the first.
    """
    contigs = table["chrom"].to_list()
    index = table["pos"].to_numpy() - 1
    lengths = np.array([genome.lengths.get(name, -1) for name in contigs], dtype=np.int64)
    unknown = lengths < 0
    beyond = ~unknown & (index >= lengths)
    rows = np.flatnonzero(~unknown & ~beyond)
    found = np.full(len(table), ord("N"), dtype=np.uint8)
    found[rows] = genome.windows([contigs[row] for row in rows], index[rows], width=1)[:, 0]
    fits = sequence.encode(found) == allele_ids(table)[0]
    if allow_mismatch or fits.all():
        return fits

    bad = np.flatnonzero(~fits)
    first = int(bad[0])
    name, position, ref = table.select("chrom", "pos", "ref").row(first)
    if unknown[first]:
        problem = f"the genome has no contig '{name}'{_hint(name, genome)}"
    elif beyond[first]:
        problem = f"position {position} is beyond contig '{name}' of {lengths[first]} bases"
    else:
        problem = f"ref is {ref} but {name}:{position} is {chr(found[first])}"
    raise UserError(
        f"{source}: {len(bad)} of {len(table)} variants do not fit {genome.path} "
        f"({unknown.sum()} on unknown contigs, {beyond.sum()} beyond the contig's end, "
        f"{len(bad) - unknown.sum() - beyond.sum()} with another reference base); first, row "
        f"{first + 1}: {problem}; use the assembly of the table, or allow mismatches to leave "
        "these rows out"
    )


def _hint(name: str, genome: Genome) -> str:
    other = name[3:] if name.startswith("chr") else f"chr{name}"
    return f" (but '{other}')" if other in genome.lengths else ""


def _read_table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return pl.read_parquet(path, glob=False)
        if not name.endswith((".tsv", ".csv")):
            raise UserError(f"{path}: not a variant table; expected .parquet, .tsv or .csv [.gz]")
        # Checked columns stay text, so that a message can show what the file says.
        return csv_table.whole(path, text=(*REQUIRED, "label"))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a table: {reason}") from None


def _chromosomes(source: Path, raw: pl.DataFrame) -> pl.Series:
    chrom = raw["chrom"].cast(pl.String)
    _refuse(source, raw, "chrom", chrom.fill_null("") == "", "empty; expected a contig's name")
    return chrom


def _positions(source: Path, raw: pl.DataFrame) -> pl.Series:
    # Through text, so that 12.0 and 1e5 are refused rather than rounded.
    pos = raw["pos"].cast(pl.String).cast(pl.Int64, strict=False)
    _refuse(source, raw, "pos", pos.is_null(), "not an integer")
    _refuse(source, raw, "pos", pos < 1, "below 1; positions are 1-based")
    return pos


def _alleles(source: Path, raw: pl.DataFrame, column: str) -> pl.Series:
    allele = raw[column].cast(pl.String).str.to_uppercase()
    bad = ~allele.is_in(["A", "C", "G", "T"]).fill_null(False)
    _refuse(
        source,
        raw,
        column,
        bad,
        "not one of A, C, G, T; only single-nucleotide variants are scored",
    )
    return allele


def _refuse(source: Path, raw: pl.DataFrame, column: str, bad: pl.Series, problem: str) -> None:
    """Raise for the first row where `bad` is true, counting the others."""
    count = int(bad.sum())
    if not count:
        return
    row = bad.arg_max() or 0
    total = f" ({count} such rows of {len(raw)})" if count > 1 else ""
    raise UserError(
        f"{source}: row {row + 1}, column '{column}': {raw[column][row]!r} is {problem}{total}; "
        "mend or remove the row"
    )
