"""Tiny real runs on real data, in this process or as the commands a user types."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from glm_composer.config import Config
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.settings import load

REPOSITORY = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")

Configure = Callable[..., Config]


@pytest.fixture
def configure(yeast: Path, tmp_path: Path) -> Iterator[Configure]:
    """Settings of a tiny run in a fresh directory, with overrides."""

    def make(*overrides: str) -> Config:
        # A dataset of the run before may still hold its shared memory in a reference cycle.
        gc.collect()
        here = [f"data.path={yeast}", f"runs_dir={tmp_path}"]
        return load(Config, TINY, [*here, *overrides])

    yield make
    gc.collect()


@pytest.fixture(scope="session")
def promoters(yeast_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows over promoters of two chromosomes, soft-masked around them."""
    out = tmp_path_factory.mktemp("datasets") / "promoters"
    overrides = [
        f"out={out}",
        "windows={name: promoters, length: 512, upstream: 150, downstream: 20}",
        "splits.train=[chr04, chr07]",
        "exclude=['chr0[1-35689]', 'chr1[0-4]']",
        "variants.contigs=[]",
    ]
    config = load(ConvertConfig, REPOSITORY / "yamls/convert/yeast.yaml", overrides)
    return convert(config, progress=False)


@pytest.fixture(scope="session")
def traitgym(yeast: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of TraitGym's files over the yeast genome, whose contigs it calls 15 and 16.

    Its subset `proximal` holds every third positive with its controls, sorted as text.
    """
    directory = tmp_path_factory.mktemp("hub") / "TraitGym"
    table = pl.read_parquet(yeast / "variants.parquet").select(
        pl.col("chrom").str.strip_prefix("chr"),
        "pos",
        "ref",
        "alt",
        OMIM=pl.lit("yeast"),
        consequence="consequence",
        label="label",
        tss_dist=pl.col("pos") % 1000,
        match_group=pl.col("match_group").cast(pl.String),
    )
    dataset = directory / "mendelian_traits_matched_9"
    (dataset / "subset").mkdir(parents=True)
    table.write_parquet(dataset / "test.parquet")
    third = table.filter(pl.col("match_group").cast(pl.Int64) % 3 == 0)
    subset = third.select("chrom", "pos", "ref", "alt").sort(pl.all().cast(pl.String))
    subset.write_parquet(dataset / "subset" / "proximal.parquet")
    return directory


@pytest.fixture
def command(yeast: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `composer -n RANKS train.py tiny.yaml ...` to its end."""

    def run(ranks: int, *overrides: str) -> subprocess.CompletedProcess[str]:
        composer = str(Path(sys.executable).with_name("composer"))
        here = [f"data.path={yeast}", f"runs_dir={tmp_path}"]
        return subprocess.run(
            [composer, "-n", str(ranks), "train.py", str(TINY), *here, *overrides],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
