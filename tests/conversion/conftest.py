"""Genomes that Debian ships, for tests on more than yeast."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from glm_composer.conversion.fetch import Package, fetch
from glm_composer.errors import UserError


@pytest.fixture(scope="session")
def debian() -> Callable[[Package], Path]:
    """Fetches a member of a Debian package; the test is skipped where that cannot be had."""

    def get(package: Package) -> Path:
        if not shutil.which("apt-get"):
            pytest.skip(f"{package.name} is a Debian package, and this machine has no apt-get")
        try:
            return fetch(package).path
        except UserError as error:
            pytest.skip(f"this test needs {package.name}, and it cannot be fetched: {error}")

    return get
