"""Runs by a metric, the best first."""

from dataclasses import dataclass
from typing import Literal

from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.runs.filters import Value
from glm_composer.runs.known import Index, metric_of_all
from glm_composer.runs.listing import cell
from glm_composer.runs.query import AGE, NAME, STATE, find

Direction = Literal["minimize", "maximize"]

_LOW = ("loss", "perplexity")


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A run by a metric.

    Attributes:
        name: of the run.
        last: the metric's last value, which ranks the run.
        step: of that; None for a figure of the final evaluation.
        best: its best value during training.
        best_step: of that.
    """

    name: str
    last: float
    step: int | None
    best: float
    best_step: int | None


def rank(
    index: Index,
    metric: str,
    direction: Direction | None = None,
    where: str | None = None,
) -> list[Ranked]:
    """Return the runs that have a metric, the best first.

    Args:
        index: of `open_index`.
        metric: its name, or any key that is a number.
        direction: None for the lowest losses and perplexities, and the highest of anything else.
        where: an expression of `filters`.

    Raises:
        UserError: as `find`, or no such run has the metric.
    """
    low = (direction or usual_direction(metric)) == "minimize"
    logged = metric_of_all(index, metric)
    found = []
    for name, values in find(index, [metric], where).items():
        last = values.get(metric)
        if isinstance(last, tuple | str) or last is None:
            continue
        over_time = logged.get(name)
        if over_time is None:
            found.append(Ranked(name=name, last=last, step=None, best=last, best_step=None))
            continue
        best, step = over_time.high, over_time.high_step
        if low:
            best, step = over_time.low, over_time.low_step
        found.append(Ranked(name=name, last=last, step=over_time.step, best=best, best_step=step))
    if not found:
        raise UserError(f"{index.runs_dir}: no run chosen has a number under '{metric}'")
    return sorted(found, key=lambda each: each.last, reverse=not low)


def usual_direction(metric: str) -> Direction:
    """Return the direction in which a metric gets better, by its name."""
    return "minimize" if metric.endswith(_LOW) else "maximize"


def print_best(
    index: Index,
    metric: str,
    direction: Direction | None,
    where: str | None,
    limit: int,
) -> None:
    """Print the best runs by a metric."""
    ranked = rank(index, metric, direction, where)
    beside = find(index, [STATE, "reason", AGE, "model.name"], where)
    rows = []
    for each in ranked[:limit]:
        known: dict[str, Value] = {**beside[each.name], NAME: each.name}
        left = [cell(key, known) for key in (NAME, STATE, "model.name")]
        numbers = [_number(each.last), _step(each.step), _number(each.best), _step(each.best_step)]
        rows.append([*left, cell(AGE, known), *numbers])
    header = ("run", "state", "model", "age", metric, "at step", "best of run", "at step")
    print_columns(header, rows, words=3)
    if len(ranked) > limit:
        print(f"{len(ranked) - limit} more; -n {len(ranked)} shows all")


def _number(value: float) -> str:
    return f"{value:.6g}"


def _step(step: int | None) -> str:
    return "-" if step is None else f"{step:,}"
