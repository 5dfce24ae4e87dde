"""A metrics file as far as it has been read: what each metric came to, without its curve."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Of the file before the place read up to: tells whether it is still the same file.
_TAIL = 200


@dataclass
class Metric:
    """A metric's finite values over training: the last, the lowest and the highest.

    Attributes:
        step: of the last value.
        last: the value.
        low: lowest value.
        low_step: its step, the first of several.
        high: highest value.
        high_step: its step, the first of several.
    """

    step: int
    last: float
    low: float
    low_step: int
    high: float
    high_step: int


@dataclass
class MetricLog:
    """A metrics file as far as it has been read.

    Attributes:
        offset: bytes read, up to the end of a line.
        tail: the last of those bytes.
        step: of the last line; -1 before the first.
        damaged: number of lines that are no objects with a step.
        metrics: by name.
    """

    offset: int = 0
    tail: bytes = b""
    step: int = -1
    damaged: int = 0
    metrics: dict[str, Metric] = field(default_factory=dict)


def read_on(path: Path, log: MetricLog) -> MetricLog:
    """Read the lines that have come to a metrics file, or all of it where it is another now.

    A last line that is not whole yet is left for the next time.
    """
    try:
        with path.open("rb") as file:
            file.seek(log.offset - len(log.tail))
            if file.read(len(log.tail)) != log.tail:
                # A resumed run has dropped the lines behind its checkpoint.
                log = MetricLog()
                file.seek(0)
            new = file.read()
    except OSError:
        return MetricLog()
    new = new[: new.rfind(b"\n") + 1]
    log.offset += len(new)
    log.tail = (log.tail + new)[-_TAIL:]
    for line in new.splitlines():
        _add_line(log, line)
    return log


def is_figure(value: Any) -> bool:
    """Return whether a value of JSON is a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= 1e300 and math.isfinite(value)


def _add_line(log: MetricLog, line: bytes) -> None:
    try:
        row = json.loads(line)
        step = row["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        log.damaged += 1
        return
    if not isinstance(step, int):
        log.damaged += 1
        return
    log.step = step
    for name, value in _figures(row):
        metric = log.metrics.get(name)
        if metric is None:
            log.metrics[name] = Metric(step, value, value, step, value, step)
            continue
        metric.step, metric.last = step, value
        if value < metric.low:
            metric.low, metric.low_step = value, step
        if value > metric.high:
            metric.high, metric.high_step = value, step


def _figures(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if name != "step" and is_figure(value):
            yield _name(name), float(value)


def _name(name: str) -> str:
    # JSON can spell halves of letters, which no database can hold.
    return name.encode(errors="replace").decode()
