"""Learning-rate schedules by name: each rises linearly over `warmup`, then goes its own way.

Durations are Composer's time strings: `1000ba`, `2ep`, or `0.1dur` for a fraction of the run.
Composer, whose import takes seconds, is imported by the builders: a configuration needs only the
dataclasses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le

from glm_composer.errors import UserError
from glm_composer.registry import schedules

if TYPE_CHECKING:
    from composer.core import State
    from composer.optim import ComposerScheduler

Fraction = Annotated[float, Ge(0), Le(1)]


def check_units(schedule: Any, max_duration: str) -> None:
    """Check that a schedule's durations can be set against the length of the run.

    Composer compares durations of one unit only; a fraction of the run (`dur`) always fits.

    Raises:
        UserError: the key whose unit differs from that of `max_duration`.
    """
    from composer.core import Time, TimeUnit

    unit = Time.from_timestring(max_duration).unit
    for key in ("warmup", "decay"):
        text = getattr(schedule, key, "0dur")
        duration = Time.from_timestring(text)
        if duration.value and duration.unit not in (unit, TimeUnit.DURATION):
            raise UserError(
                f"scheduler.{key} ({text}) and max_duration ({max_duration}) differ in unit; give "
                f"both in {unit.value}, or scheduler.{key} as a fraction like 0.1dur"
            )


@dataclass(frozen=True, kw_only=True)
class ConstantConfig:
    """Settings of the constant schedule.

    Attributes:
        name: `constant`.
        warmup: duration of the rise.
    """

    name: str = "constant"
    warmup: str = "0ba"


@dataclass(frozen=True, kw_only=True)
class CosineConfig:
    """Settings of the cosine schedule.

    Attributes:
        name: `cosine`.
        warmup: duration of the rise.
        final: fraction of the peak that is reached at the end of the run.
    """

    name: str = "cosine"
    warmup: str = "0ba"
    final: Fraction = 0.0


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """Settings of the linear schedule.

    Attributes:
        name: `linear`.
        warmup: duration of the rise.
        final: fraction of the peak that is reached at the end of the run.
    """

    name: str = "linear"
    warmup: str = "0ba"
    final: Fraction = 0.0


@dataclass(frozen=True, kw_only=True)
class WSDConfig:
    """Settings of warmup-stable-decay (Hu et al. 2024, MiniCPM).

    Attributes:
        name: `wsd`.
        warmup: duration of the rise.
        decay: duration of the linear descent at the end of the run.
        final: fraction of the peak that is reached at the end of the run.
    """

    name: str = "wsd"
    warmup: str = "0ba"
    decay: str = "0.2dur"
    final: Fraction = 0.0


@schedules.register("constant")
def build_constant(config: ConstantConfig) -> "ComposerScheduler":
    """Build the constant schedule."""
    from composer.optim import ConstantWithWarmupScheduler

    return ConstantWithWarmupScheduler(t_warmup=config.warmup)


@schedules.register("cosine")
def build_cosine(config: CosineConfig) -> "ComposerScheduler":
    """Build the cosine schedule."""
    from composer.optim import CosineAnnealingWithWarmupScheduler

    return CosineAnnealingWithWarmupScheduler(t_warmup=config.warmup, alpha_f=config.final)


@schedules.register("linear")
def build_linear(config: LinearConfig) -> "ComposerScheduler":
    """Build the linear schedule."""
    from composer.optim import LinearWithWarmupScheduler

    return LinearWithWarmupScheduler(t_warmup=config.warmup, alpha_f=config.final)


@schedules.register("wsd")
def build_wsd(config: WSDConfig) -> "ComposerScheduler":
    """Build the warmup-stable-decay schedule."""

    def multiplier(state: "State", ssr: float = 1.0) -> float:
        warmup = _progress_over(config.warmup, state)
        if warmup < 1:
            return warmup
        decay = _share_of_run(config.decay, state)
        elapsed = state.get_elapsed_duration()
        assert elapsed is not None
        if decay == 0:
            return 1.0
        left = min(1.0, max(0.0, (1 - elapsed.value) / decay))
        return config.final + (1 - config.final) * left

    return multiplier


def _progress_over(duration: str, state: "State") -> float:
    """How much of a duration from the start of the run has passed; at least 1 when it is over."""
    from composer.core import Time, TimeUnit

    time = Time.from_timestring(duration)
    if time.value == 0:
        return 1.0
    if time.unit == TimeUnit.DURATION:
        elapsed = state.get_elapsed_duration()
        assert elapsed is not None
        return elapsed.value / time.value
    return state.timestamp.get(time.unit).value / time.value


def _share_of_run(duration: str, state: "State") -> float:
    """A duration as a fraction of the whole run."""
    from composer.core import Time, TimeUnit

    time = Time.from_timestring(duration)
    if time.unit == TimeUnit.DURATION:
        return float(time.value)
    assert state.max_duration is not None
    return time.value / state.max_duration.value
