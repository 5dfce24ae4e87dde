"""Which pieces a conversion falls into: the same ones for any number of workers and slices."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glm_composer import __version__
from glm_composer.conversion.assembly import Assembly, WindowFile
from glm_composer.conversion.config import ConvertConfig, is_split_name
from glm_composer.conversion.pieces import ContigTask, FileTask, Piece, Task
from glm_composer.conversion.splits import assign_splits
from glm_composer.errors import UserError

# Contigs are put together to pieces of about so many bases: what a kill can cost a worker.
PIECE_BASES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All pieces of a conversion, and what they are cut from.

    Attributes:
        sources: assemblies, or files of ready windows.
        splits: names of all splits, in the dataset's order.
        contigs: (assembly, contig) of every assembly; empty for files, which tell when read.
        split_of: the split of each of `contigs`.
        directory: where the parts go. A part's name is a digest of all that it depends on, so
            parts of other settings or inputs may lie beside it, and are not taken for it.
        pieces: by number.
        source_of: index of each piece's source.
    """

    sources: Sequence[Assembly | WindowFile]
    splits: tuple[str, ...]
    contigs: list[tuple[str, str]]
    split_of: list[str | None]
    directory: Path
    pieces: list[Piece]
    source_of: list[int]

    @property
    def assemblies(self) -> list[Assembly]:
        """Those of `sources`; none where they are files."""
        return [source for source in self.sources if isinstance(source, Assembly)]

    @property
    def files(self) -> list[WindowFile]:
        """Those of `sources`; none where they are assemblies."""
        return [source for source in self.sources if isinstance(source, WindowFile)]


def make_plan(config: ConvertConfig, sources: Sequence[Assembly | WindowFile], work: Path) -> Plan:
    """Divide the sources into pieces.

    Args:
        config: what to convert.
        sources: what the configuration's source gives.
        work: directory of the parts.

    Raises:
        UserError: two assemblies of one name; no split; a contig in no split or in two.
    """
    assemblies = [source for source in sources if isinstance(source, Assembly)]
    splits = _split_names(config, [source.split for source in sources])
    names = [assembly.name for assembly in assemblies]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two assemblies are named '{twice}'; rename one")
    contigs = [(assembly.name, name) for assembly in assemblies for name in assembly.lengths]
    given = {each.name: each.split for each in assemblies if each.split is not None}
    split_of = choose_splits(config, contigs, given) if contigs else []
    plan = Plan(
        sources=sources,
        splits=splits,
        contigs=contigs,
        split_of=split_of,
        directory=work,
        pieces=[],
        source_of=[],
    )
    rest = iter(split_of)
    for number, source in enumerate(sources):
        if isinstance(source, WindowFile):
            _add(config, plan, number, source.file.bytes, {})
            continue
        group: dict[str, str] = {}
        size = 0
        for (name, length), split in zip(source.lengths.items(), rest, strict=False):
            if split is None:
                continue
            if group and size + length > PIECE_BASES:
                _add(config, plan, number, size, group)
                group, size = {}, 0
            group[name] = split
            size += length
        if group:
            _add(config, plan, number, size, group)
    return plan


def choose_splits(
    config: ConvertConfig,
    contigs: Sequence[tuple[str, str]],
    given: Mapping[str, str] | None = None,
) -> list[str | None]:
    """Return `assign_splits` of contigs by a configuration's settings."""
    return assign_splits(
        contigs,
        config.splits,
        config.exclude,
        given=given,
        unit=config.split_by,
        seed=config.split_seed,
    )


def _split_names(config: ConvertConfig, given: Iterable[str | None]) -> tuple[str, ...]:
    names = dict.fromkeys(config.splits)
    names.update(dict.fromkeys(split for split in given if split is not None))
    if not names:
        raise UserError("'splits' is empty; name at least one, for instance train: ['*']")
    for name in names:
        if not is_split_name(name):
            raise UserError(
                f"split '{name}' of the source must be letters, digits, '_' and '-' only"
            )
    for name in config.caps:
        if name not in names:
            raise UserError(f"'caps': no split '{name}'; there are {', '.join(names)}")
    return tuple(names)


def _add(
    config: ConvertConfig, plan: Plan, number: int, size: int, split_of: dict[str, str]
) -> None:
    """Add a piece of source `number`."""
    source = plan.sources[number]
    settings = dataclasses.asdict(config)
    origin = (
        [source.name, [file.sha256 for file in source.files]]
        if isinstance(source, Assembly)
        else [source.assembly, source.file.sha256, source.split]
    )
    # The order of contigs counts as well: rows number them by it.
    content = [__version__, settings["source"], settings["windows"], origin, [*split_of.items()]]
    path = plan.directory / f"part-{digest(content)}"
    piece = Piece(number=len(plan.pieces), path=path, size=size, split_of=split_of)
    plan.pieces.append(piece)
    plan.source_of.append(number)


def digest(content: object) -> str:
    """Return a name for anything that json can say."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def make_tasks(config: ConvertConfig, plan: Plan, todo: Sequence[Piece]) -> list[Task]:
    """Return the tasks that make the parts of some pieces, largest first.

    A source that can only be read from its beginning is one task, and its pieces are its steps.
    """
    by_source: dict[int, list[Piece]] = {}
    for piece in todo:
        by_source.setdefault(plan.source_of[piece.number], []).append(piece)
    tasks: list[Task] = []
    for number, pieces in by_source.items():
        source = plan.sources[number]
        if isinstance(source, WindowFile):
            tasks.append(FileTask(file=source, form=config.shard_format, pieces=(pieces[0],)))
        elif source.only is None:
            tasks.append(_contig_task(config, plan, source, pieces))
        else:
            tasks += [_contig_task(config, plan, source, [piece]) for piece in pieces]
    return sorted(tasks, key=lambda task: -sum(piece.size for piece in task.pieces))


def _contig_task(
    config: ConvertConfig, plan: Plan, assembly: Assembly, pieces: Sequence[Piece]
) -> ContigTask:
    names = [name for piece in pieces for name in piece.split_of]
    transcripts = assembly.transcripts
    # Only those that are needed travel to a worker. Another mapping than a dict reads on demand.
    if isinstance(transcripts, dict):
        transcripts = {name: transcripts[name] for name in names if name in transcripts}
    return ContigTask(
        assembly=assembly.name,
        read=assembly.contigs if assembly.only is None else assembly.only(names),
        transcripts=transcripts,
        windows=config.windows,
        splits=plan.splits,
        pieces=tuple(pieces),
    )
