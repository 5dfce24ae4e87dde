"""`glm runs prune`: removes directories of runs, after it has said which."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from glm_composer.columns import print_columns
from glm_composer.conversion.files import locked
from glm_composer.errors import UserError
from glm_composer.runs.filters import Value
from glm_composer.runs.index import refresh
from glm_composer.runs.known import Index
from glm_composer.runs.listing import cell
from glm_composer.runs.query import AGE, NAME, STATE, TAG, find
from glm_composer.runs.ranking import Direction, rank

USUAL = "state=failed or state=dead"

_OVER = ("finished", "stopped", "failed", "dead", "unknown")
# Held by a run for as long as it trains.
_LOCK = ".lock"
_LEFT = re.compile(r"\..+\.[0-9]+\.removed")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A run to remove.

    Attributes:
        name: of the run.
        known: what a listing shows of it.
        size: of its directory, bytes.
    """

    name: str
    known: dict[str, Value]
    size: int


def candidates(
    index: Index,
    where: str | None,
    keep_best: int | None,
    metric: str | None,
    direction: Direction | None,
) -> list[Candidate]:
    """Return the runs to remove: those chosen that are over, have no tag and are not the best.

    Args:
        index: of `open_index`.
        where: an expression of `filters`; None for failed and dead runs, or for all where the
            best are kept.
        keep_best: keep so many of them; None for none.
        metric: by which they are the best; runs without it are removed.
        direction: of the metric; None for the usual one.

    Raises:
        UserError: as `find`, or no metric to tell the best by.
    """
    if (keep_best is None) != (metric is None):
        raise UserError("--keep-best and --metric go together: the best by which metric?")
    if where is None and keep_best is None:
        where = USUAL
    chosen = find(index, [STATE, "reason", "step", AGE, TAG], where)
    if keep_best is not None and metric is not None:
        best = [each.name for each in rank(index, metric, direction, where)[:keep_best]]
        chosen = {name: known for name, known in chosen.items() if name not in best}
    return [
        Candidate(name=name, known={**known, NAME: name}, size=_size(index.runs_dir / name))
        for name, known in chosen.items()
        if known.get(STATE) in _OVER and TAG not in known
    ]


def prune(index: Index, found: list[Candidate], *, dry_run: bool, yes: bool) -> None:
    """Show the runs to remove, ask, and remove them.

    Args:
        index: of `open_index`.
        found: the runs.
        dry_run: only show them.
        yes: do not ask.

    Raises:
        UserError: there is nobody to ask, or a directory cannot be removed.
    """
    if not dry_run:
        _clear_leftovers(index.runs_dir)
    if not found:
        print("nothing to remove: runs that go on or have a tag are kept")
        return
    keys = (NAME, STATE, "step", AGE)
    rows = [[*(cell(key, each.known) for key in keys), f"{each.size:,}"] for each in found]
    print_columns(("run", "state", "step", "age", "bytes"), rows, words=2)
    total = _total(found)
    if dry_run:
        print(f"would remove {total}")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nobody to ask whether to remove these runs; --yes removes them")
        if input(f"remove {total}, checkpoints included? [y/N] ").strip().lower() != "y":
            print("nothing removed")
            return
    removed = [each for each in found if _remove(index.runs_dir / each.name)]
    refresh(index)
    print(f"removed {_total(removed)}")


def _total(found: list[Candidate]) -> str:
    size = sum(each.size for each in found)
    return f"{len(found)} run{'' if len(found) == 1 else 's'}, {size:,} bytes"


def _remove(run_dir: Path) -> bool:
    """Remove a run's directory; False if it has been started again since."""
    # Under a name that is no run's, so that nobody meets half of one.
    aside = run_dir.with_name(f".{run_dir.name}.{os.getpid()}.removed")
    if run_dir.is_symlink():
        print(f"{run_dir}: kept: a link to elsewhere", file=sys.stderr)
        return False
    try:
        with locked(run_dir / _LOCK, shared=False, taken=f"{run_dir}: kept: it goes on again"):
            os.rename(run_dir, aside)
        _clear(aside)
    except UserError as error:
        print(error, file=sys.stderr)
        return False
    except OSError as error:
        raise UserError(f"{run_dir}: cannot be removed: {error.strerror or error}") from None
    return True


def _clear_leftovers(runs_dir: Path) -> None:
    """Remove what a call that was killed has put aside, or one that is at it now."""
    for path in runs_dir.iterdir():
        if _LEFT.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            try:
                _clear(path)
            except OSError as error:
                print(f"{path}: cannot be removed: {error.strerror or error}", file=sys.stderr)


def _clear(directory: Path) -> None:
    """Remove a directory, of which others may remove a part at the same time."""

    def pass_over(_: object, __: str, error: tuple[object, BaseException, object]) -> None:
        if not isinstance(error[1], FileNotFoundError):
            raise error[1]

    shutil.rmtree(directory, onerror=pass_over)


def _size(directory: Path) -> int:
    size = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                size += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                # A checkpoint that has just been replaced.
                continue
    return size
