"""`index.sqlite`: what the runs of a directory are, kept so that ten thousand list at once.

The index holds nothing that the runs' own directories do not: it is brought up to date by every
command that asks it, and made again where it is damaged. A run that has ended is read again when
its directory's time of change has moved (every file of a record is renamed into place), one that
goes on also when its metrics have grown.

Writers take turns, a batch of runs each; whoever comes second finds the work of the first done.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.runs.folder import METRICS
from glm_composer.runs.known import OF_RUN, Index, metrics_by_number
from glm_composer.runs.metric_log import MetricLog, read_on
from glm_composer.runs.reading import is_over, read_facts

FILE_NAME = "index.sqlite"

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE keys (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL,
    ended INTEGER NOT NULL, read_to INTEGER NOT NULL, tail BLOB NOT NULL, step INTEGER NOT NULL,
    damaged INTEGER NOT NULL);
CREATE TABLE facts (key INTEGER, run INTEGER, value, PRIMARY KEY (key, run)) WITHOUT ROWID;
CREATE TABLE metrics (key INTEGER, run INTEGER, step INTEGER, last REAL, low REAL,
    low_step INTEGER, high REAL, high_step INTEGER, PRIMARY KEY (key, run)) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_BATCH = 100
# Seconds a writer waits for its turn.
_PATIENCE = 60.0
# Nanoseconds. What has changed so lately may change again within the same tick of a file's clock.
_SETTLED = 2_000_000_000


@contextmanager
def open_index(runs_dir: Path) -> Iterator[Index]:
    """Open the index of a directory of runs, and bring it up to date.

    Raises:
        UserError: there is no such directory, or nobody got a turn to write within a minute.
    """
    if not runs_dir.is_dir():
        raise UserError(f"{runs_dir}: no such directory; give the parent of runs by --runs-dir")
    index = Index(runs_dir=runs_dir, database=_connect(runs_dir / FILE_NAME))
    try:
        try:
            _prepare(index)
            refresh(index)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            # Not a database, or damaged: nothing is lost with it.
            index.database.close()
            _remove(runs_dir / FILE_NAME)
            index = Index(runs_dir=runs_dir, database=_connect(runs_dir / FILE_NAME))
            _prepare(index)
            refresh(index)
        yield index
    except sqlite3.OperationalError as error:
        raise UserError(
            f"{runs_dir / FILE_NAME}: cannot be used ({error}); if no other glm command is busy "
            "with it, remove it: it is made again from the runs"
        ) from None
    finally:
        index.database.close()


@contextmanager
def writing(index: Index) -> Iterator[None]:
    """Wait for a turn to write, and keep other writers out until the block has ended."""
    index.database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # SQLite itself takes back what a full disk has cut short.
        if index.database.in_transaction:
            index.database.execute("ROLLBACK")
        raise
    index.database.execute("COMMIT")


def refresh(index: Index) -> None:
    """Take in what has changed in the runs' directories."""
    # In this order: a run that another writer adds from now on is no run that was removed.
    known = _stamps(index)
    settled = time.time_ns() - _SETTLED
    changed, found = [], set()
    for entry in os.scandir(index.runs_dir):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        found.add(entry.name)
        stamp, ended = known.get(entry.name, ("", False))
        if not stamp or stamp != _stamp(entry, ended, settled):
            changed.append(entry.name)
    for start in range(0, len(changed), _BATCH):
        with writing(index):
            for name in changed[start : start + _BATCH]:
                _take_in(index, name)
    gone = [name for name in known if name not in found]
    if gone:
        with writing(index):
            for name in gone:
                if not (index.runs_dir / name).is_dir():
                    _forget(index, name)


def rebuild(index: Index) -> None:
    """Forget everything and read all runs again."""
    with writing(index):
        for table in ("facts", "metrics", "runs", "keys"):
            index.database.execute(f"DELETE FROM {table}")
    refresh(index)


def _connect(path: Path) -> sqlite3.Connection:
    writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
    if not writable:
        # Of somebody else's runs: an index of one's own, for as long as the command takes.
        return sqlite3.connect(":memory:", isolation_level=None)
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)


def _prepare(index: Index) -> None:
    database = index.database
    if database.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
        return
    database.execute("PRAGMA journal_mode = WAL")
    with writing(index):
        # Another process may have made it in the meantime.
        if database.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return
        for table in ("facts", "metrics", "runs", "keys"):
            database.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA.strip().split(";\n"):
            database.execute(statement)


def _remove(path: Path) -> None:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        each.unlink(missing_ok=True)


def _stamps(index: Index) -> dict[str, tuple[str, bool]]:
    rows = index.database.execute("SELECT name, stamp, ended FROM runs")
    return {name: (stamp, bool(ended)) for name, stamp, ended in rows}


def _stamp(run: os.DirEntry[str] | Path, ended: bool, settled: int) -> str:
    """What changes whenever a run's directory holds something new.

    Empty if it has changed since the time `settled`, in nanoseconds.
    """
    try:
        times = [run.stat().st_mtime_ns]
    except OSError:
        # Removed a moment ago, perhaps.
        return ""
    if not ended:
        try:
            metrics = os.stat(f"{os.fspath(run)}/{METRICS}")
            times += [metrics.st_mtime_ns, metrics.st_size]
        except FileNotFoundError:
            times.append(0)
        except OSError:
            return ""
    return "" if max(times) > settled else " ".join(map(str, times))


def _take_in(index: Index, name: str) -> None:
    """Read a run again, unless another writer has done so; within a transaction."""
    run_dir, database = index.runs_dir / name, index.database
    row = database.execute(
        "SELECT id, stamp, ended, read_to, tail, step, damaged FROM runs WHERE name = ?", (name,)
    ).fetchone()
    settled = time.time_ns() - _SETTLED
    if row is not None and row[1] and row[1] == _stamp(run_dir, bool(row[2]), settled):
        return
    # Before reading: what is written meanwhile will be seen the next time.
    stamps = {ended: _stamp(run_dir, ended, settled) for ended in (False, True)}
    facts = read_facts(run_dir)
    if facts is None:
        _forget(index, name)
        return
    log = MetricLog()
    if row is not None:
        offset, tail, step, damaged = row[3:]
        log = MetricLog(offset, tail, step, damaged, metrics_by_number(index, row[0]))
    log = read_on(run_dir / METRICS, log)
    facts.setdefault("step", max(log.step, 0))
    if log.damaged:
        damage = f"{METRICS}: {log.damaged} lines cannot be read"
        facts["damaged"] = "; ".join(filter(None, (str(facts.get("damaged", "")), damage)))
    ended = is_over(facts)
    values = (stamps[ended], ended, log.offset, log.tail, log.step, log.damaged)
    if row is None:
        statement = (
            "INSERT INTO runs (stamp, ended, read_to, tail, step, damaged, name) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        number = database.execute(statement, (*values, name)).lastrowid
    else:
        number = row[0]
        _clear(index, number)
        database.execute(
            "UPDATE runs SET stamp = ?, ended = ?, read_to = ?, tail = ?, step = ?, damaged = ? "
            "WHERE id = ?",
            (*values, number),
        )
    numbers = _key_numbers(index, [*facts, *log.metrics])
    database.executemany(
        "INSERT INTO facts VALUES (?, ?, ?)",
        [(numbers[key], number, value) for key, value in facts.items()],
    )
    database.executemany(
        "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (numbers[key], number, m.step, m.last, m.low, m.low_step, m.high, m.high_step)
            for key, m in log.metrics.items()
        ],
    )


def _forget(index: Index, name: str) -> None:
    row = index.database.execute("SELECT id FROM runs WHERE name = ?", (name,)).fetchone()
    if row is not None:
        _clear(index, row[0])
        index.database.execute("DELETE FROM runs WHERE id = ?", row)


def _clear(index: Index, number: int) -> None:
    for table in ("facts", "metrics"):
        index.database.execute(f"DELETE FROM {table} WHERE {OF_RUN}", (number,))


def _key_numbers(index: Index, wanted: Sequence[str]) -> dict[str, int]:
    index.database.executemany(
        "INSERT OR IGNORE INTO keys (name) VALUES (?)", [(key,) for key in wanted]
    )
    return dict(index.database.execute("SELECT name, id FROM keys"))
