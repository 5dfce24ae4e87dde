"""Learning-rate schedules by name: each rises linearly over `warmup`, then goes its own way.

Durations are Composer's time strings: `1000ba`, `2ep`, or `0.1dur` for a fraction of the run. A
builder returns a function from Composer's state to the multiplier of the peak rate for the batch
that comes next. Composer's own schedules are not used: it sets them a batch late, so that the
first two batches of a warmup are at rate 0. Its import takes seconds and is left to the functions
that need it: a configuration needs only the dataclasses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le

from glm_composer.errors import UserError
from glm_composer.registry import schedules

if TYPE_CHECKING:
    from composer.core import State, Time

Fraction = Annotated[float, Ge(0), Le(1)]
Schedule = Callable[["State"], float]


def check_units(schedule: Any, max_duration: str) -> None:
    """Check that a schedule's durations can be set against the length of the run.

    Batches and epochs can, and a fraction of the run (`dur`) always can; how many samples or
    tokens a batch holds is not known ahead.

    Raises:
        UserError: the key whose unit does not go with that of `max_duration`.
    """
    unit = max_duration.lstrip("0123456789")
    known = {"dur", *(("ba", "ep") if unit in ("ba", "ep") else (unit,))}
    for key in ("warmup", "decay"):
        text = getattr(schedule, key, "0dur")
        # Not Composer's Time, whose import takes seconds: a configuration is checked without.
        own_unit = text.lstrip("0123456789.")
        if float(text.removesuffix(own_unit)) and own_unit not in known:
            raise UserError(
                f"scheduler.{key} ({text}) and max_duration ({max_duration}) differ in unit; give "
                f"both in {unit}, or scheduler.{key} as a fraction like 0.1dur"
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
def build_constant(config: ConstantConfig) -> Schedule:
    """Build the constant schedule."""
    return lambda state: _rise(config.warmup, state)


@schedules.register("cosine")
def build_cosine(config: CosineConfig) -> Schedule:
    """Build the cosine schedule."""

    def multiplier(state: "State") -> float:
        fall = (1 + math.cos(math.pi * _after(config.warmup, state))) / 2
        return _rise(config.warmup, state) * (config.final + (1 - config.final) * fall)

    return multiplier


@schedules.register("linear")
def build_linear(config: LinearConfig) -> Schedule:
    """Build the linear schedule."""

    def multiplier(state: "State") -> float:
        fall = 1 - _after(config.warmup, state)
        return _rise(config.warmup, state) * (config.final + (1 - config.final) * fall)

    return multiplier


@schedules.register("wsd")
def build_wsd(config: WSDConfig) -> Schedule:
    """Build the warmup-stable-decay schedule."""

    def multiplier(state: "State") -> float:
        total, decay = _ticks("1dur", state), _ticks(config.decay, state)
        left = min(1.0, max(0.0, total - _now(state)) / decay) if decay else 1.0
        # Where the two overlap, in a run too short for both, they meet.
        return min(_rise(config.warmup, state), config.final + (1 - config.final) * left)

    return multiplier


def _rise(warmup: str, state: "State") -> float:
    """From 0 at the run's start to 1 at the end of the warmup, and from then on."""
    length, now = _ticks(warmup, state), _now(state)
    return now / length if now < length else 1.0


def _after(warmup: str, state: "State") -> float:
    """Share of what follows the warmup that has passed; 0 before."""
    length, total = _ticks(warmup, state), _ticks("1dur", state)
    passed = _now(state) - length
    return min(1.0, passed / (total - length)) if passed > 0 and total > length else 0.0


def _now(state: "State") -> float:
    return state.timestamp.get(_length(state).unit).value


def _ticks(duration: str, state: "State") -> float:
    """A duration in the unit that `_length` counts in."""
    from composer.core import Time, TimeUnit

    time = Time.from_timestring(duration)
    if time.unit == TimeUnit.DURATION:
        return time.value * _length(state).value
    if time.unit == TimeUnit.EPOCH:
        return time.value * _epoch(state)
    return time.value


def _length(state: "State") -> "Time[int]":
    """The run's length; in batches where it is given in epochs, for epochs move in leaps."""
    from composer.core import Time, TimeUnit

    length = state.max_duration
    assert length is not None
    if length.unit == TimeUnit.EPOCH:
        return Time(length.value * _epoch(state), TimeUnit.BATCH)
    return length


def _epoch(state: "State") -> int:
    assert state.dataloader_len is not None
    return int(state.dataloader_len)
