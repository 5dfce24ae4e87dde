"""Finished parts -> the output: rows as the table has them, with a column a score.

It is written beside the parts, then renamed: whole or not there. Memory does not grow with it.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from glm_composer.conversion.files import sync
from glm_composer.errors import UserError
from glm_composer.serving.figures import metrics_path, write_metrics
from glm_composer.serving.parts import Parts, writing
from glm_composer.serving.plan import digest_file
from glm_composer.variant_files.reader import VariantFile
from glm_composer.variant_files.vcf import opened
from glm_composer.variant_files.vcf_writer import write_vcf

PROBLEM = "problem"
# Rows a row group of the output, at least: what reads Parquet reads it by these.
_GROUP = 1 << 17
# VCF 4.3, section 1.6.1.
_INFO_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*")


def check_output(table: VariantFile, out: Path, scores: list[str]) -> None:
    """Check, before anything is scored, that the output can be written from this table.

    Raises:
        UserError: its name ends in something else; a VCF is asked for of another file; the table
            has a column that is to be written beside it.
    """
    if out.is_dir():
        raise UserError(f"{out}: is a directory; name a file to write")
    if out.exists() and out.samefile(table.path):
        raise UserError(f"{out}: is the file of the variants itself; name another to write")
    if out.name.endswith(".parquet"):
        taken = set(table.columns)
    elif not out.name.endswith((".vcf", ".vcf.gz")):
        raise UserError(f"{out}: an output ends in .parquet or .vcf.gz")
    elif table.kind not in ("vcf", "bcf"):
        raise UserError(f"{out}: {table.path} has no VCF header to keep; write .parquet instead")
    else:
        with opened(table.path) as file:
            taken = set(file.header.info)
        for name in scores:
            if not _INFO_NAME.fullmatch(name):
                raise UserError(
                    f"{out}: '{name}' cannot be a name in INFO; write .parquet instead"
                )
    for name in (PROBLEM, *scores):
        if name in taken:
            raise UserError(
                f"{table.path}: has '{name}' already, which is to be written; rename it"
            )


def join(table: VariantFile, parts: Parts) -> None:
    """Write the output of finished parts, and metrics where the table has labels.

    Where it has none, metrics of what was there before are removed.

    Raises:
        UserError: the disk does not take it, or the table is not what it was; nothing is left
            under the output's name.
    """
    plan = parts.plan
    if digest_file(table.path) != plan.variants:
        raise UserError(
            f"{table.path}: changed while it was scored; run the command again with --overwrite "
            "to score it anew"
        )
    # Its name's end says to `write_vcf` what to write.
    aside = parts.directory / f"joined-{parts.out.name}"
    index: Path | None = None
    with writing(parts.out):
        try:
            if table.kind in ("vcf", "bcf") and not aside.name.endswith(".parquet"):
                scores = (parts.read(number) for number in range(parts.count()))
                told = {PROBLEM: "why an allele has no scores"}
                index = write_vcf(
                    table.path, scores, aside, descriptions=told, notes=plan.metadata()
                )
            else:
                _write_parquet(_scored(table, parts), aside, plan.metadata())
            sync(aside)
            parts.mark_done()
            metrics = metrics_path(parts.out)
            if "label" in table.columns:
                write_metrics(aside, plan, metrics, parts.directory / "metrics")
            else:
                metrics.unlink(missing_ok=True)
            # An index of what was there before would be read as this one's.
            for suffix in (".tbi", ".csi"):
                parts.out.with_name(f"{parts.out.name}{suffix}").unlink(missing_ok=True)
            os.replace(aside, parts.out)
            if index is not None:
                os.replace(index, parts.out.with_name(parts.out.name + index.suffix))
        finally:
            aside.unlink(missing_ok=True)


def _scored(table: VariantFile, parts: Parts) -> Iterator[pl.DataFrame]:
    for number, chunk in enumerate(table.chunks(parts.plan.chunk_rows)):
        yield chunk.hstack(parts.read(number))


def _write_parquet(frames: Iterator[pl.DataFrame], path: Path, metadata: dict[str, str]) -> None:
    writer: pq.ParquetWriter | None = None
    held: list[pl.DataFrame] = []

    def flush() -> None:
        nonlocal writer
        if not held:
            return
        rows = pl.concat(held).to_arrow(compat_level=pl.CompatLevel.oldest())
        held.clear()
        if writer is None:
            schema = rows.schema.with_metadata(metadata)
            writer = pq.ParquetWriter(path, schema, compression="zstd")
        writer.write_table(rows.cast(writer.schema), row_group_size=len(rows))

    try:
        for frame in frames:
            held.append(frame)
            if sum(map(len, held)) >= _GROUP:
                flush()
        flush()
    finally:
        if writer is not None:
            writer.close()
