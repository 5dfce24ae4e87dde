"""The bar of long work: what is done, rate and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        if speed is None:
            return Text(f"? {unit}/s")
        if speed < 1e5:
            return Text(f"{speed:,.0f} {unit}/s")
        return Text(f"{speed / 1e6:.2f} M{unit}/s")


@contextmanager
def progress_bar(
    description: str, total: int | None, unit: str, visible: bool
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, and give a function that moves it on by so much.

    Args:
        description: of the work.
        total: how much there is to do; None where nobody knows.
        unit: of that, in the singular and short, as in `bp`.
        visible: whether to show it.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=not visible)
    task = bar.add_task(description, total=total, unit=unit)
    with bar:
        yield lambda done: bar.update(task, advance=done)
