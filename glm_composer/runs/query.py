"""Runs by what is known of them: chosen by an expression, sorted, with the values asked for."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.runs import filters
from glm_composer.runs.filters import Expression, Value
from glm_composer.runs.index import Index, column, facts_of, keys, names
from glm_composer.runs.status import ENDED, STATES, Status, shown_state

NAME, STATE, TAG, AGE, STARTED = "name", "state", "tag", "age", "started"
_DERIVED = (NAME, STATE, TAG, AGE)
_DAY = 86_400.0

Runs = dict[str, dict[str, Value]]
"""Name of a run -> its values by key."""


def find(
    index: Index,
    wanted: Sequence[str] = (),
    where: str | None = None,
    sort: str = STARTED,
    *,
    reverse: bool = False,
) -> Runs:
    """Return runs and what they have of the keys wanted.

    Besides the keys of the index there are `name`, `state` as of now, `tag` and `age`: days since
    the run's first start.

    Args:
        index: of `open_index`.
        wanted: keys.
        where: an expression of `filters`; None for all runs.
        sort: a key; the newest, largest or last in the alphabet comes first.
        reverse: turn that order around; runs without a value come last either way.

    Raises:
        UserError: the expression is none, or a key of no run.
    """
    expression = None if where is None else filters.parse(where)
    _check_keys(index, wanted, sort, where, expression)
    asked = [] if expression is None else [c.key for c in filters.comparisons(expression)]
    columns = {key: _column(index, key) for key in dict.fromkeys([*wanted, *asked, sort])}
    found = names(index)
    if expression is not None:
        found = [
            name
            for name in found
            if filters.holds(expression, lambda key, name=name: columns[key].get(name))  # type: ignore[misc]
        ]
    by = columns[sort]
    having = sorted(
        (name for name in found if name in by),
        key=lambda name: _order(by[name]),
        reverse=not reverse,
    )
    ordered = [*having, *(name for name in found if name not in by)]
    return {
        name: {key: columns[key][name] for key in wanted if name in columns[key]}
        for name in ordered
    }


def check_names(index: Index, wanted: Iterable[str]) -> list[str]:
    """Return names of runs, given as names or as their directories.

    Raises:
        UserError: there is no such run.
    """
    known = names(index)
    found = []
    for each in wanted:
        name = each.rstrip("/")
        # A shell completes a run's name to its directory.
        if name not in known and Path(name).parent.resolve() == index.runs_dir.resolve():
            name = Path(name).name
        if name not in known:
            raise UserError(f"{index.runs_dir}: no run '{each}'{_near(name, known)}")
        found.append(name)
    return found


def current_state(name: str, facts: dict[str, filters.Value]) -> str:
    """Return a run's state as of now: one whose process is gone without a word is dead."""
    state = str(facts.get(STATE, "unknown"))
    if state in ENDED or state not in STATES:
        return state
    start = facts.get("process_start")
    status = Status(
        state=state,  # type: ignore[arg-type]
        run_name=name,
        host=str(facts.get("host", "")),
        pid=_whole(facts.get("pid")) or -1,
        process_start=_whole(start),
        ranks=1,
        started="",
        heartbeat=str(facts.get("heartbeat", "")),
    )
    return shown_state(status)


def age_in_days(started: Value) -> float | None:
    """Return the days since a time in ISO-8601; None if it is none."""
    try:
        time = datetime.fromisoformat(str(started))
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (datetime.now(UTC) - time).total_seconds() / _DAY


def _column(index: Index, key: str) -> dict[str, Value]:
    if key == NAME:
        return {name: name for name in names(index)}
    if key == AGE:
        ages = {n: age_in_days(time) for n, time in column(index, STARTED).items()}
        return {name: age for name, age in ages.items() if age is not None}
    values: dict[str, Value] = dict(column(index, key))
    if key == TAG:
        return {name: tuple(str(tags).split(",")) for name, tags in values.items()}
    if key == STATE:
        for name, state in values.items():
            if state not in ENDED:
                values[name] = current_state(name, dict(facts_of(index, name)))
    return values


def _check_keys(
    index: Index,
    wanted: Sequence[str],
    sort: str,
    where: str | None,
    expression: Expression | None,
) -> None:
    known = {*_DERIVED, *keys(index), STARTED}
    # Of no run anything may be asked: there is no telling which keys there will be.
    if not names(index):
        return
    for option, key in (*(("--columns", key) for key in wanted), ("--sort", sort)):
        if key not in known:
            raise UserError(f"{option}: no run has '{key}'{_near(key, known)}")
    if expression is None or where is None:
        return
    for each in filters.comparisons(expression):
        if each.key not in known:
            message = f"--where: no run has '{each.key}'{_near(each.key, known)}"
            raise filters.marked(where, each.at, message)


def _near(wrong: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _order(value: Value) -> tuple[int, float | str]:
    if isinstance(value, int | float):
        return 1, value
    return 0, ",".join(value) if isinstance(value, tuple) else value


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
