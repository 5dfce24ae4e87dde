"""Profiles a few steps with torch's profiler.

The callback itself is in `training/profiling.py`: a configuration that names it needs no Composer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt, PositiveInt

from glm_composer.registry import callbacks

if TYPE_CHECKING:
    from composer.core import Callback

    from glm_composer.config import Config


@dataclass(frozen=True, kw_only=True)
class ProfilerConfig:
    """Settings of the profiler.

    Attributes:
        name: `profiler`.
        skip: steps before the first profiled one, compilation and warm-up among them.
        steps: steps to profile.
        rows: operations listed in the table, the most expensive first.
    """

    name: str = "profiler"
    skip: NonNegativeInt = 5
    steps: PositiveInt = 3
    rows: PositiveInt = 25


@callbacks.register("profiler")
def build_profiler(config: ProfilerConfig, run: "Config") -> "Callback":
    """Build the profiler of a run."""
    from glm_composer.training.profiling import Profiler

    return Profiler(config, run)
