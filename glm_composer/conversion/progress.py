"""The bar of a conversion: bases done, rate and time left."""

from collections.abc import Iterator, Sequence
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

from glm_composer.conversion.assembly import Assembly, Contig


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("? Mbp/s" if speed is None else f"{speed / 1e6:.1f} Mbp/s")


@contextmanager
def contigs_with_progress(
    assemblies: Sequence[Assembly], visible: bool
) -> Iterator[Iterator[tuple[Assembly, Contig]]]:
    """Give an iterator over the contigs of all assemblies that moves a bar on stderr along."""
    starts: dict[tuple[str, str], int] = {}
    total = 0
    for assembly in assemblies:
        for name, length in assembly.lengths.items():
            starts[assembly.name, name] = total
            total += length
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=not visible)
    task = bar.add_task("", total=total)

    def contigs() -> Iterator[tuple[Assembly, Contig]]:
        for assembly in assemblies:
            for contig in assembly.contigs():
                bar.update(task, description=f"{assembly.name} {contig.name}")
                yield assembly, contig
                bar.update(task, completed=starts[assembly.name, contig.name] + contig.end)

    with bar:
        yield contigs()
