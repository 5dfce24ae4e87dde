"""Definitions of sweeps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from glm_composer.sweeps.definition import Definition, base_of
from glm_composer.sweeps.dimensions import parse

TINY = Path(__file__).parents[1] / "training" / "tiny.yaml"


@pytest.fixture
def define() -> Callable[..., Definition]:
    """A sweep of the tiny run by these values."""

    def make(*values: str, file: Path = TINY, **changes) -> Definition:
        fixed, dimensions = parse(values)
        settings = {
            "name": "tiny",
            "file": file,
            "fixed": tuple(fixed),
            "dimensions": tuple(dimensions),
            "search": "grid",
            "metric": "validation/loss",
            "direction": "minimize",
            "seed": 3,
            "base": base_of(file, fixed),
        }
        return Definition(**settings | changes)

    return make
