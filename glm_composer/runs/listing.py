"""`glm runs ls`: a line a run, as wide as the terminal; or all that is known, as JSON."""

import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence

from glm_composer.columns import print_columns
from glm_composer.runs.filters import Value
from glm_composer.runs.known import Index, facts_of_all, keys
from glm_composer.runs.query import AGE, NAME, STATE, TAG, Runs, check_keys, find

_HEADERS = {NAME: "run", "progress": "done", "model.name": "model", "parameters": "size"}
_FIRST = (NAME, STATE, "reason", "step", "progress", AGE, "model.name", "parameters")
# Of metrics nobody asked for, more would not fit beside the rest.
_METRICS = 3
_GAP = 2
_WORDS = (NAME, STATE, "model.name", TAG)


def print_runs(
    index: Index,
    columns: str | None,
    where: str | None,
    sort: str,
    *,
    reverse: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print runs.

    Args:
        index: of `open_index`.
        columns: keys joined by commas, after a `+` in addition to those usually shown; None for
            the latter.
        where: an expression of `filters`.
        sort: a key, largest first.
        reverse: smallest first.
        limit: print no more than so many.
        as_json: print a list of objects instead, of everything known unless columns are given.

    Raises:
        UserError: as `find`.
    """
    more = [key.strip() for key in (columns or "").removeprefix("+").split(",") if key.strip()]
    usual = columns is None or columns.startswith("+")
    check_keys(index, "--columns", more)
    metrics = _candidates(keys(index)) if usual else []
    first = [*_FIRST, TAG, "damaged"] if usual else []
    wanted = [*first, *more, *metrics]
    runs = find(index, wanted, where, sort, reverse=reverse, limit=limit)
    if as_json:
        print(json.dumps(_objects(index, runs, more if columns else None), indent=1))
        return
    shown = [key for key in first if key not in ("reason", "damaged") and _has(runs, key)]
    shown += [key for key in more if key not in shown]
    if usual:
        shown = _fitting(runs, shown, [key for key in _varying(runs, metrics) if key not in shown])
    print_table(runs, shown)
    for name, values in runs.items():
        if "damaged" in values and usual:
            print(f"{name}: {values['damaged']}", file=sys.stderr)


def print_table(runs: Runs, shown: Sequence[str]) -> None:
    """Print values of runs under their keys, words to the left and numbers to the right."""
    left = [key for key in shown if key in _WORDS]
    keys = [*left, *(key for key in shown if key not in left)]
    header = [_HEADERS.get(key, key) for key in keys]
    rows = list(zip(*(cells(key, runs) for key in keys), strict=True))
    print_columns(header, rows, words=len(left))


def cells(key: str, runs: Runs) -> list[str]:
    """Return what a table shows of the runs under a key."""
    if key == STATE:
        return [_state(known) for known in runs.values()]
    shown = _SHOWN.get(key, _value)
    values = [known.get(key) for known in runs.values()]
    return ["-" if value is None else shown(value) for value in values]


def cell(key: str, known: dict[str, Value]) -> str:
    """Return what a table shows of one run under a key."""
    return cells(key, {"": known})[0]


def _candidates(known: Sequence[str]) -> list[str]:
    """Metrics worth a column: variant effects first, then held-out and training loss."""
    effects = [key for key in known if key.startswith("eval/") and key.endswith("/auprc")]
    # Of a table's other scores there is one more level.
    effects = [key for key in effects if key.count("/") == 2]
    losses = [key for key in known if key.endswith("/loss") and not key.startswith("final/")]
    return [*effects, *sorted(losses, key=lambda key: key.startswith("train/"))]


def _varying(runs: Runs, metrics: Sequence[str]) -> list[str]:
    """Metrics in which runs differ, or which only some have; of a single run all that it has."""
    found = []
    for metric in metrics:
        values = {values.get(metric) for values in runs.values()}
        if len(values) > 1 or (len(runs) == 1 and None not in values):
            found.append(metric)
    return found[:_METRICS]


def _fitting(runs: Runs, shown: list[str], metrics: list[str]) -> list[str]:
    """Columns with as many of the metrics as fit into the terminal; all if there is none."""
    if not sys.stdout.isatty():
        return [*shown, *metrics]
    room = shutil.get_terminal_size().columns - sum(_width(runs, key) for key in shown)
    for metric in metrics:
        room -= _width(runs, metric)
        if room < 0:
            break
        shown = [*shown, metric]
    return shown


def _width(runs: Runs, key: str) -> int:
    return max(len(_HEADERS.get(key, key)), *map(len, ["", *cells(key, runs)])) + _GAP


def _has(runs: Runs, key: str) -> bool:
    return key == NAME or any(key in values for values in runs.values())


def _objects(index: Index, runs: Runs, columns: list[str] | None) -> list[dict[str, Value]]:
    if columns is not None:
        return [{NAME: name, **values} for name, values in runs.items()]
    everything = facts_of_all(index)
    return [
        {
            NAME: name,
            **everything[name],
            **{key: values[key] for key in (STATE, TAG, AGE) if key in values},
        }
        for name, values in runs.items()
    ]


def _state(known: dict[str, Value]) -> str:
    state = str(known.get(STATE, "-"))
    told = state in ("failed", "stopped") and "reason" in known
    return f"{state}: {known['reason']}" if told else state


def _value(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _age(days: Value) -> str:
    seconds = max(0.0, days * 86_400) if isinstance(days, int | float) else 0.0
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        # Two of a unit say more than one of the next: 36h, not 1d.
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _share(value: Value) -> str:
    # Not rounded up: 100% is the end.
    return f"{math.floor(100 * value)}%" if isinstance(value, int | float) else str(value)


def _short(count: Value) -> str:
    if not isinstance(count, int | float):
        return str(count)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _thousands(value: Value) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


_SHOWN: dict[str, Callable[[Value], str]] = {
    AGE: _age,
    "progress": _share,
    "parameters": _short,
    "step": _thousands,
}
