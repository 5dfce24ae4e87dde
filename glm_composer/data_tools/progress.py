"""A bar on stderr for work over many windows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Fewer are done before a bar could be read.
_WORTH_A_BAR = 500_000


@contextmanager
def windows_bar(what: str, windows: int) -> Iterator[Callable[[int], None]]:
    """Give a function that moves a bar on by so many windows; for small totals there is none."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("windows"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=windows < _WORTH_A_BAR)
    task = bar.add_task(what, total=windows)
    with bar:
        yield lambda done: bar.advance(task, done)
