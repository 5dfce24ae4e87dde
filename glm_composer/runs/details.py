"""`glm runs show`: one run on a screen."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from glm_composer.columns import print_columns
from glm_composer.runs.events import read_events
from glm_composer.runs.filters import Value
from glm_composer.runs.folder import CHECKPOINTS
from glm_composer.runs.known import Index, facts_of, metrics_of
from glm_composer.runs.listing import cell
from glm_composer.runs.query import AGE, STATE, age_in_days, current_state

_EVENTS = 8
# What an event's line begins with, and what is told above.
_OF_EVENT = ("time", "event", "command")


def print_run(index: Index, name: str) -> None:
    """Print what a run is, its metrics and what happened to it lately."""
    facts: dict[str, Value] = dict(facts_of(index, name))
    facts[STATE] = current_state(name, facts)
    for key, text in _lines(index, name, facts):
        print(f"{key + ':':<13}{text}")
    metrics = metrics_of(index, name)
    if metrics:
        print()
        rows = [
            [key, *(f"{v:.6g}" if isinstance(v, float) else f"{v:,}" for v in values)]
            for key, m in sorted(metrics.items())
            for values in [(m.last, m.step, m.low, m.low_step, m.high, m.high_step)]
        ]
        header = ("metric", "last", "at step", "lowest", "at step", "highest", "at step")
        print_columns(header, rows, words=1)
    events = read_events(index.runs_dir / name)[-_EVENTS:]
    if events:
        print("\nlast events")
    for event in events:
        told = {k: v for k, v in event.items() if k not in _OF_EVENT and v is not None}
        rest = " ".join(f"{key}={value}" for key, value in told.items())
        print(f"  {event['time'][:19]}  {event['event']:<10}  {rest}".rstrip())


def _lines(index: Index, name: str, facts: dict[str, Value]) -> Iterator[tuple[str, str]]:
    run_dir = index.runs_dir / name
    yield "run", name
    message = facts.get("message") if facts[STATE] in ("failed", "stopped") else None
    yield "state", cell(STATE, facts) + (f" ({message})" if message else "")
    step = f"{cell('step', facts)} of {facts.get('max_duration', '?')}"
    if "progress" in facts:
        step += f", {cell('progress', facts)}"
    yield "step", step
    age = age_in_days(facts.get("started", ""))
    if age is not None:
        yield "started", f"{str(facts['started'])[:19]} UTC, {cell(AGE, {AGE: age})} ago"
    where = [str(facts[key]) for key in ("host", "device") if key in facts]
    ranks = facts.get("ranks", "?")
    yield "machine", ", ".join([*where, f"{ranks} rank{'' if ranks == 1 else 's'}"])
    yield "model", f"{facts.get('model.name', '?')}, {cell('parameters', facts)} parameters"
    yield "data", str(facts.get("data.path", "?"))
    yield "code", f"commit {str(facts.get('commit', 'unknown'))[:12]}" + _changed(facts)
    if "command" in facts:
        yield "command", str(facts["command"])
    if "tag" in facts:
        yield "tags", str(facts["tag"])
    sizes = list(_sizes((run_dir / CHECKPOINTS).glob("ep*.pt")))
    yield "checkpoints", f"{len(sizes)}, {sum(sizes):,} bytes"
    if "damaged" in facts:
        yield "damaged", str(facts["damaged"])
    yield "directory", str(run_dir)


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        # A run that goes on removes its old ones.
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_size


def _changed(facts: dict[str, Value]) -> str:
    count = facts.get("changed_files", 0)
    return f" with {count} changed file{'' if count == 1 else 's'}" if count else ""
