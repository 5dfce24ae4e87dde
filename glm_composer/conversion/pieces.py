"""A piece of the input -> a part: what a worker does, knowing nothing of the other pieces."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig, WindowFile, Windows
from glm_composer.conversion.leakage import window_hashes
from glm_composer.conversion.parts import FACT, Facts, PartWriter
from glm_composer.conversion.shard_format import ShardFormat, Table, row_type
from glm_composer.conversion.shards import cut
from glm_composer.conversion.windowings import Windowing
from glm_composer.conversion.windows import count_inside, find_letter_runs
from glm_composer.errors import UserError
from glm_composer.registry import windowings
from glm_composer.sequence import IS_SOFT_MASKED, IS_UNKNOWN, look_up

# Windows cut at a time, and bases that they may have: a few MiB, whatever the contig's length.
_BLOCK, _BLOCK_BASES = 8192, 1 << 23


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Contigs of one assembly whose windows make one part, or a file of ready windows.

    Attributes:
        number: of the piece among all, from 0.
        path: of its part.
        size: how much there is to read, in bases or bytes.
        split_of: contig -> its split, in genome order; empty for a file.
    """

    number: int
    path: Path
    size: int
    split_of: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ContigTask:
    """One pass over contigs, which makes the parts of one piece or several.

    Attributes:
        assembly: its name, for messages.
        read: yields the contigs, and maybe others.
        transcripts: contig -> its transcripts.
        windows: settings of the windowing.
        splits: names of all splits, for the windowing.
        pieces: in genome order.
    """

    assembly: str
    read: Callable[[], Iterator[Contig]]
    transcripts: Mapping[str, Sequence[Transcript]]
    windows: Any
    splits: tuple[str, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class FileTask:
    """One file of ready windows.

    Attributes:
        file: where they are.
        form: tells which length they must have.
        pieces: the one piece.
    """

    file: WindowFile
    form: ShardFormat
    pieces: tuple[Piece]


Task = ContigTask | FileTask


def make_parts(task: Task) -> Iterator[Piece]:
    """Make the parts of a task's pieces; yields each piece when its part is there.

    Raises:
        UserError: what is wrong with the input.
    """
    if isinstance(task, FileTask):
        longest = task.form.length if task.form.varying else None
        with PartWriter(task.pieces[0].path, task.form.length) as part:
            for batch in task.file.batches(longest):
                _write_batch(part, task, batch)
        yield task.pieces[0]
        return
    windowing = windowings.get(task.windows.name)(task.windows, list(task.splits))
    piece_of = {name: piece for piece in task.pieces for name in piece.split_of}
    # Neither a generator expression nor, for one piece, groupby: they would keep a contig in
    # memory while the next one is read.
    wanted = filter(lambda contig: contig.name in piece_of, task.read())
    groups: Iterable[tuple[int, Iterator[Contig]]] = [(task.pieces[0].number, wanted)]
    if len(task.pieces) > 1:
        groups = groupby(wanted, key=lambda contig: piece_of[contig.name].number)
    left = {piece.number for piece in task.pieces}
    for number, contigs in groups:
        piece = next(piece for piece in task.pieces if piece.number == number)
        missing = set(piece.split_of)
        with PartWriter(piece.path, task.windows.length) as part:
            for contig in contigs:
                missing.discard(contig.name)
                _write_contig(part, task, contig, windowing, piece.split_of[contig.name])
                del contig  # before the next one is read
            if missing:
                raise _changed(task, missing)
        left.discard(number)
        yield piece
    if left:
        raise _changed(task, {name for name, piece in piece_of.items() if piece.number in left})


def _changed(task: ContigTask, missing: set[str]) -> UserError:
    return UserError(
        f"assembly '{task.assembly}': contig '{min(missing)}' could not be read again; did its "
        "file change since the start? convert again"
    )


def _write_contig(
    part: PartWriter, task: ContigTask, contig: Contig, windowing: Windowing, split: str
) -> None:
    transcripts = task.transcripts.get(contig.name, ())
    part.transcripts += len(transcripts)
    part.longest = max(part.longest, len(contig.sequence))
    number = part.contig(contig.name, contig.end)
    chosen = windowing(contig, transcripts, split)
    length = task.windows.length
    own = chosen.sequence is contig.sequence
    runs = contig.runs if own else find_letter_runs(chosen.sequence)
    step = max(1, min(_BLOCK, _BLOCK_BASES // length))
    for first in range(0, len(chosen.starts), step):
        block = slice(first, first + step)
        starts, lengths = chosen.starts[block], None
        if chosen.lengths is not None:
            lengths = chosen.lengths[block]
        rows = cut(
            chosen.sequence, starts, length, contig=number, offset=contig.start, lengths=lengths
        )
        widths = length if lengths is None else lengths
        soft_masked = count_inside(runs.soft_masked, starts, widths)
        unknown = count_inside(runs.unknown, starts, widths)
        part.write(rows, _facts(rows, soft_masked, unknown, lengths))


def _write_batch(part: PartWriter, task: FileTask, batch: Windows) -> None:
    found, length = batch.sequence.shape[1], task.form.length
    if batch.lengths is None and found != length:
        raise UserError(
            f"{task.file.file.file}: its windows have {found:,} bases, and 'windows.length' is "
            f"{length:,}; set it to {found}"
        )
    rows = np.zeros(len(batch.sequence), dtype=row_type(length))
    rows["sequence"][:, :found] = batch.sequence
    rows["start"] = batch.start
    rows["strand"] = batch.strand
    names, index = np.unique(np.asarray(batch.contig), return_inverse=True)
    ends = np.zeros(len(names), dtype=np.int64)
    widths = length if batch.lengths is None else batch.lengths
    np.maximum.at(ends, index, batch.start + widths)
    numbers = [part.contig(str(name), int(end)) for name, end in zip(names, ends, strict=True)]
    rows["contig"] = np.array(numbers, dtype=np.uint32)[index]
    soft_masked = look_up(IS_SOFT_MASKED, batch.sequence).sum(axis=1, dtype=np.int64)
    unknown = look_up(IS_UNKNOWN, batch.sequence).sum(axis=1, dtype=np.int64)
    if batch.lengths is not None:
        unknown -= found - batch.lengths  # the zeros behind a window
    part.write(rows, _facts(rows, soft_masked, unknown, batch.lengths))


def _facts(
    rows: Table,
    soft_masked: NDArray[np.int64],
    unknown: NDArray[np.int64],
    lengths: NDArray[np.int64] | None,
) -> Facts:
    facts = np.empty(len(rows), dtype=FACT)
    facts["hash"] = window_hashes(rows["sequence"], lengths)
    facts["contig"] = rows["contig"]
    facts["soft_masked"] = soft_masked
    facts["unknown"] = unknown
    return facts
