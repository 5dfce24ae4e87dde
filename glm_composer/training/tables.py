"""The variant tables of a run: found, checked and cut into windows before anything is trained."""

import contextlib
import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import polars as pl

from glm_composer.cache_directory import cache_directory
from glm_composer.config import Config, VariantTableConfig
from glm_composer.conversion.files import describe
from glm_composer.errors import UserError
from glm_composer.evaluation.baselines import NAMES as BASELINES
from glm_composer.evaluation.match_groups import broken_group
from glm_composer.evaluation.table import (
    VariantWindows,
    check_rankable,
    cut_windows,
    with_windows,
)
from glm_composer.evaluation.variants import read_variants
from glm_composer.evaluation.window_cache import Cut, digest, kept
from glm_composer.genome import Genome
from glm_composer.genome_source import local_genome
from glm_composer.variant_files.contigs import ContigNames
from glm_composer.variant_files.traitgym import load_traitgym

_LOG = logging.getLogger(__name__)
# Bases of a genome from which reading it takes seconds.
_BIG = 1 << 28


def load_tables(config: Config, window: int) -> dict[str, VariantWindows]:
    """Read every variant table of a run, with windows of its own width or else `window`.

    Raises:
        UserError: the table's key, and what is wrong with its variants, genome or settings.
    """
    tables = {}
    for name, table in config.evaluation.tables.items():
        try:
            tables[name] = _load(table, table.window or window)
        except UserError as error:
            raise UserError(f"evaluation.tables.{name}: {error}") from None
    return tables


def _load(config: VariantTableConfig, width: int) -> VariantWindows:
    table = _read(config)
    _check_columns(config, table)
    _check_groups(config, table)
    path = local_genome(config.genome, sha256=config.genome_sha256)
    sha256 = config.genome_sha256 or _sha256(Path(config.genome))
    with Genome(path) as genome:
        # The genome's names to cut by; the table keeps its own.
        contigs = _names(config).resolve(table["chrom"], genome.lengths)
        renamed = table.with_columns(chrom=pl.Series(contigs, dtype=pl.String))
        found = _windows(config, renamed, genome, width, sha256)
    _tell_of_those_left_out(config, table, found)
    variants = with_windows(table, found, sha256)
    for key in ("chroms", "report_chroms"):
        check_rankable(variants, getattr(config, key), config.variants, key)
    return variants


def _read(config: VariantTableConfig) -> pl.DataFrame:
    if config.dataset is None:
        if Path(config.variants).is_dir():
            raise UserError(f"{config.variants}: a directory; say which `dataset` of it is meant")
        return read_variants(config.variants)
    table = load_traitgym(
        config.variants, config.dataset, config.subset, config.split, revision=config.revision
    )
    other = ~pl.all_horizontal(pl.col("ref", "alt").is_in(["A", "C", "G", "T"]))
    if len(found := table.filter(other)):
        variant = " ".join(map(str, found.select("chrom", "pos", "ref", "alt").row(0)))
        raise UserError(
            f"{config.dataset}: {len(found)} of {len(table)} variants are no single-nucleotide "
            f"ones, the first is {variant}; only those are scored"
        )
    return table


def _names(config: VariantTableConfig) -> ContigNames:
    return ContigNames.from_file(config.contigs) if config.contigs else ContigNames.known()


def _check_columns(config: VariantTableConfig, table: pl.DataFrame) -> None:
    """Check that the scores have columns of their own beside the table's."""
    taken = sorted({"model", *BASELINES, *config.scores} & set(table.columns))
    if taken:
        raise UserError(
            f"{config.variants}: column '{taken[0]}' is named as a predictor whose scores are "
            "written beside it; rename it"
        )


def _check_groups(config: VariantTableConfig, table: pl.DataFrame) -> None:
    """Check that match groups are whole where they are measured."""
    if not {"label", "match_group"} <= set(table.columns):
        return
    for key in ("chroms", "report_chroms"):
        chroms = getattr(config, key)
        chosen = None if chroms is None else table["chrom"].is_in(chroms)
        broken = broken_group(table["label"], table["match_group"], chosen)
        if broken:
            where = "" if chroms is None else f"{key}: "
            raise UserError(f"{where}{config.variants}: {broken}")


def _windows(
    config: VariantTableConfig, table: pl.DataFrame, genome: Genome, width: int, sha256: str
) -> Cut:
    allow = config.allow_mismatch

    def cut() -> Cut:
        return cut_windows(table, genome, width, source=config.variants, allow_mismatch=allow)

    if sum(genome.lengths.values()) < _BIG:
        return cut()
    return kept(cache_directory() / "windows", digest(table, sha256, width, allow), cut)


def _tell_of_those_left_out(config: VariantTableConfig, table: pl.DataFrame, found: Cut) -> None:
    rows = np.flatnonzero(~found.fits)
    if len(rows):
        first = " ".join(map(str, table.select("chrom", "pos", "ref", "alt").row(int(rows[0]))))
        _LOG.warning(
            "%s: %d of %d variants do not fit %s and are left out; the first is row %d, %s",
            *(config.variants, len(rows), len(table), config.genome, rows[0] + 1, first),
        )


def _sha256(path: Path) -> str:
    """Digest of a file; one that was digested before, and not changed since, is not read again."""
    facts = path.stat()
    identity = f"{path.resolve()}\n{facts.st_size}\n{facts.st_mtime_ns}"
    known = cache_directory() / "digests" / hashlib.sha256(identity.encode()).hexdigest()
    if known.exists():
        return known.read_text()
    found = describe(path).sha256
    # Only to spare the next run the reading: a home that cannot be written to is no error.
    with contextlib.suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True)
        aside = known.with_suffix(f".{os.getpid()}")
        aside.write_text(found)
        os.replace(aside, known)
    return found
