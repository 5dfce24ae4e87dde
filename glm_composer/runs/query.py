"""Runs by what is known of them: chosen by an expression, sorted, with the values asked for."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.runs import filters
from glm_composer.runs.filters import Expression, Value
from glm_composer.runs.known import Index, columns, facts_of, keys, names
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
    limit: int | None = None,
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
        limit: return no more than so many of the first.

    Raises:
        UserError: the expression is none, or it or `sort` has a key of no run.
    """
    expression = None if where is None else filters.parse(where)
    if sort != STARTED:
        check_keys(index, "--sort", [sort])
    if where is not None and expression is not None:
        _check_asked(index, where, expression)
    asked = [] if expression is None else [c.key for c in filters.comparisons(expression)]
    having = _columns(index, {*wanted, *asked, sort})
    found = names(index)
    if expression is not None:
        found = [name for name in found if _holds(expression, having, name)]
    by = having[sort]
    ranked = sorted(
        (name for name in found if name in by),
        key=lambda name: _order(by[name]),
        reverse=not reverse,
    )
    ordered = [*ranked, *(name for name in found if name not in by)][:limit]
    shown = [(key, having[key]) for key in wanted if having[key]]
    return {
        name: {key: values[name] for key, values in shown if name in values} for name in ordered
    }


def check_keys(index: Index, option: str, wanted: Iterable[str]) -> None:
    """Check that there are runs with these keys.

    Raises:
        UserError: there are others only; the message begins with the option.
    """
    known = _known(index)
    for key in wanted:
        if known and key not in known:
            raise UserError(f"{option}: no run has '{key}'{_near(key, known)}")


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
        state=state,
        run_name=name,
        host=str(facts.get("host", "")),
        pid=_whole(facts.get("pid")) or -1,
        process_start=_whole(start),
        ranks=1,
        started="",
        heartbeat=str(facts.get("heartbeat", "")),
    )
    return shown_state(status)


def age_in_days(started: Value, now: datetime | None = None) -> float | None:
    """Return the days since a time in ISO-8601; None if it is none."""
    try:
        time = datetime.fromisoformat(str(started))
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return ((now or datetime.now(UTC)) - time).total_seconds() / _DAY


def _holds(expression: Expression, having: dict[str, dict[str, Value]], name: str) -> bool:
    return filters.holds(expression, lambda key: having[key].get(name))


def _columns(index: Index, wanted: set[str]) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {}
    for key, values in columns(index, wanted | ({STARTED} if AGE in wanted else set())).items():
        found[key] = dict(values)
    if NAME in wanted:
        found[NAME] = {name: name for name in names(index)}
    if AGE in wanted:
        now = datetime.now(UTC)
        ages = {name: age_in_days(time, now) for name, time in found[STARTED].items()}
        found[AGE] = {name: age for name, age in ages.items() if age is not None}
    if TAG in wanted:
        found[TAG] = {name: tuple(str(tags).split(",")) for name, tags in found[TAG].items()}
    if STATE in wanted:
        for name, state in found[STATE].items():
            if state not in ENDED:
                found[STATE][name] = current_state(name, dict(facts_of(index, name)))
    return found


def _check_asked(index: Index, where: str, expression: Expression) -> None:
    known = _known(index)
    for each in filters.comparisons(expression):
        if known and each.key not in known:
            message = f"--where: no run has '{each.key}'{_near(each.key, known)}"
            raise filters.marked(where, each.at, message)


def _known(index: Index) -> set[str]:
    """Keys that may be asked for; none without runs, of which there is no telling."""
    return {*_DERIVED, *keys(index)} if names(index) else set()


def _near(wrong: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _order(value: Value) -> tuple[int, float | str]:
    if isinstance(value, int | float):
        return 1, value
    return 0, ",".join(value) if isinstance(value, tuple) else value


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
