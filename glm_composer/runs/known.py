"""What the index knows: by run, by key, by metric."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glm_composer.runs.metric_log import Metric
from glm_composer.runs.reading import Plain

# Rows are in the order of their keys, so that a column of a listing is read in one go.
_COLUMN = (
    "SELECT run, last FROM metrics WHERE key = ?",
    "SELECT run, value FROM facts WHERE key = ?",
)
OF_RUN = "run = ? AND key IN (SELECT id FROM keys)"


@dataclass(frozen=True, kw_only=True)
class Index:
    """An open index.

    Attributes:
        runs_dir: parent of the runs.
        database: SQLite, without implicit transactions.
    """

    runs_dir: Path
    database: sqlite3.Connection


def names(index: Index) -> list[str]:
    """Return the names of all runs, in alphabetical order."""
    return [name for (name,) in index.database.execute("SELECT name FROM runs ORDER BY name")]


def keys(index: Index) -> list[str]:
    """Return all keys that any run has or had a value of, metrics' names included."""
    return [name for (name,) in index.database.execute("SELECT name FROM keys ORDER BY name")]


def columns(index: Index, wanted: Iterable[str]) -> dict[str, dict[str, Plain]]:
    """Return for each of these keys its value in every run that has one; of a metric the last."""
    database = index.database
    # Joined here: by SQLite, ten thousand names a column take four times as long.
    runs = dict(database.execute("SELECT id, name FROM runs"))
    numbers = dict(database.execute("SELECT name, id FROM keys"))
    found: dict[str, dict[str, Plain]] = {}
    for key in wanted:
        found[key] = {}
        for statement in _COLUMN if key in numbers else ():
            rows = database.execute(statement, (numbers[key],))
            # Another process may have added runs since.
            found[key] |= {runs[run]: value for run, value in rows if run in runs}
    return found


def facts_of(index: Index, run: str) -> dict[str, Plain]:
    """Return all that is known of a run but its metrics."""
    rows = index.database.execute(
        f"SELECT name, value FROM facts JOIN keys ON keys.id = key WHERE {OF_RUN}",
        (_number(index, run),),
    )
    return dict(rows)


def facts_of_all(index: Index) -> dict[str, dict[str, Plain]]:
    """Return all that is known of every run, with the last values of its metrics."""
    found: dict[str, dict[str, Plain]] = {name: {} for name in names(index)}
    for table, value in (("metrics", "last"), ("facts", "value")):
        rows = index.database.execute(
            f"SELECT runs.name, keys.name, {value} FROM {table} "
            "JOIN runs ON runs.id = run JOIN keys ON keys.id = key"
        )
        for run, key, value in rows:
            found[run][key] = value
    return found


def metrics_of(index: Index, run: str) -> dict[str, Metric]:
    """Return all metrics of a run by name."""
    return metrics_by_number(index, _number(index, run))


def metric_of_all(index: Index, name: str) -> dict[str, Metric]:
    """Return a metric for each run that logged it."""
    rows = index.database.execute(
        "SELECT runs.name, metrics.step, last, low, low_step, high, high_step FROM metrics "
        "JOIN runs ON runs.id = run WHERE key = (SELECT id FROM keys WHERE name = ?)",
        (name,),
    )
    return {run: Metric(*values) for run, *values in rows}


def metrics_by_number(index: Index, number: int) -> dict[str, Metric]:
    """Return all metrics of a run by name, the run by its number in the index."""
    rows = index.database.execute(
        "SELECT name, step, last, low, low_step, high, high_step FROM metrics "
        f"JOIN keys ON keys.id = key WHERE {OF_RUN}",
        (number,),
    )
    return {name: Metric(*values) for name, *values in rows}


def _number(index: Index, run: str) -> int:
    row = index.database.execute("SELECT id FROM runs WHERE name = ?", (run,)).fetchone()
    return -1 if row is None else int(row[0])
