"""The ledger of a run: which windows each global batch held, and the proof of what they add up to.

`ledger.jsonl` has a line for each start of the run and for each global batch, 6 MB a million
windows. A start names the batch it goes on from, so batches done again after a kill replace those
of before.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.errors import UserError

FILE_NAME = "ledger.jsonl"

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The windows of a global batch that are of one stream and one epoch of it.

    Attributes:
        stream: number of the stream.
        epoch: 0-based.
        ids: [n] sample ids within the stream, ascending.
    """

    stream: int
    epoch: int
    ids: Ids


def split_parts(ids: Ids, epochs: Ids, streams: Ids) -> list[Part]:
    """Sort a global batch [n] into parts; blanks are left out."""
    parts = []
    real = ids >= 0
    for stream, epoch in np.unique(np.stack([streams[real], epochs[real]]), axis=1).T.tolist():
        here = real & (streams == stream) & (epochs == epoch)
        parts.append(Part(stream, epoch, np.sort(ids[here])))
    return parts


def digest(parts: Iterable[Part]) -> str:
    """Hash of a global batch, whatever the order within it and the ranks it was dealt to."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(np.array([part.stream, part.epoch, len(part.ids)], dtype="<i8").tobytes())
        found.update(part.ids.astype("<i8").tobytes())
    return found.hexdigest()


class LedgerFile:
    """Appends to a ledger; a line that a kill has cut short is taken away first.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(0)
            # The last line break is near the end, but lines are long.
            whole = sum(len(line) for line in file if line.endswith(b"\n"))
            if whole < end:
                file.truncate(whole)

    def start(self, batch: int, streams: list[dict[str, Any]], **told: Any) -> None:
        """Write that the run goes on after `batch` global batches.

        Args:
            batch: how many are done.
            streams: `name`, `total` windows and `windows` in use of each.
            told: what else is worth knowing.
        """
        self._append({"start": batch, "streams": streams, **told})

    def batch(self, number: int, parts: list[Part]) -> None:
        """Write global batch `number`, from 1."""
        packed = [
            [part.stream, part.epoch, base64.b64encode(part.ids.astype("<u4").tobytes()).decode()]
            for part in parts
        ]
        self._append({"batch": number, "digest": digest(parts), "parts": packed})

    def _append(self, line: dict[str, Any]) -> None:
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None


@dataclass
class _Epoch:
    """What is known of one epoch of one stream: the batch each window was seen in, 0 for none."""

    seen: NDArray[np.int32]
    first: int
    windows: int = 0


@dataclass
class Audit:
    """What a ledger proves.

    Attributes:
        starts: how often the run was started.
        batches: global batches that count.
        redone: batches that were done again after a kill.
        changed: how many of those held other windows the second time.
        epochs: a line for each epoch of each stream.
    """

    starts: int = 0
    batches: int = 0
    redone: int = 0
    changed: int = 0
    epochs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        redone = f"{self.redone:,} batches were done again after a kill"
        if self.redone:
            redone += f", {self.changed:,} of them with other windows"
        counts = f"{self.batches:,} batches over {self.starts:,} starts; {redone}"
        return "\n".join([counts, *self.epochs])


def audit(path: Path) -> Audit:
    """Prove from a ledger that each epoch that was finished was a permutation of the windows.

    Raises:
        UserError: the first defect: a line that is not right, a gap, a window seen twice in an
            epoch or never, or one that there is not.
    """
    found, lines = _reconcile(path)
    streams: list[dict[str, Any]] = []
    epochs: dict[tuple[int, int], _Epoch] = {}
    with path.open("rb") as file:
        for offset in lines:
            file.seek(offset)
            line = json.loads(file.readline())
            if "start" in line:
                streams = line["streams"]
                continue
            for part in _parts(path, line):
                _add(path, part, line["batch"], streams, epochs)
    for (stream, number), epoch in sorted(epochs.items()):
        later = (stream, number + 1) in epochs
        found.epochs.append(_judge(path, streams[stream], number, epoch, later))
    return found


def _reconcile(path: Path) -> tuple[Audit, list[int]]:
    """Offsets of the lines that count, of batches without a gap, each once."""
    found = Audit()
    kept: list[tuple[int, int, str]] = []  # batch (-1 for a start), offset, digest
    done = -1
    before: dict[int, str] = {}
    for number, offset, line in _lines(path):
        where = f"{path}, line {number}"
        if "start" in line:
            found.starts += 1
            if done < 0:
                done = line["start"]
            elif line["start"] > done:
                raise UserError(
                    f"{where}: the run goes on from batch {line['start']}, but batches "
                    f"{done + 1} to {line['start']} are not in the ledger"
                )
            before |= {batch: digest for batch, _, digest in kept if batch > line["start"]}
            kept = [each for each in kept if each[0] <= line["start"]]
            done = line["start"]
            kept.append((-1, offset, ""))
            continue
        if line["batch"] != done + 1:
            raise UserError(f"{where}: batch {line['batch']} follows batch {done}")
        done += 1
        if done in before:
            found.redone += 1
            found.changed += before.pop(done) != line["digest"]
        kept.append((done, offset, line["digest"]))
    found.batches = sum(batch > 0 for batch, _, _ in kept)
    return found, [offset for _, offset, _ in kept]


def _lines(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Number, offset and content of each whole line."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; a run writes it with ledger=true"
        ) from None
    offset = 0
    with file:
        for number, text in enumerate(file, start=1):
            if not text.endswith(b"\n"):
                break  # a kill cut it short
            try:
                line = json.loads(text)
                assert isinstance(line["start" if "start" in line else "batch"], int)
                assert "start" in line or isinstance(line["digest"], str)
            except (ValueError, LookupError, TypeError, AssertionError):
                raise UserError(f"{path}, line {number}: not a line of a ledger") from None
            yield number, offset, line
            offset += len(text)


def _parts(path: Path, line: dict[str, Any]) -> list[Part]:
    try:
        parts = [
            Part(stream, epoch, np.frombuffer(base64.b64decode(ids), "<u4").astype(np.int64))
            for stream, epoch, ids in line["parts"]
        ]
        right = digest(parts) == line["digest"]
    except (ValueError, LookupError, TypeError):
        right = False
    if not right:
        raise UserError(f"{path}: batch {line['batch']}: its windows do not match its digest")
    return parts


def _add(
    path: Path,
    part: Part,
    batch: int,
    streams: list[dict[str, Any]],
    epochs: dict[tuple[int, int], _Epoch],
) -> None:
    stream = streams[part.stream]
    total, windows = stream["total"], stream["windows"]
    where = f"{path}: batch {batch}, {stream['name']}, epoch {part.epoch}"
    key = (part.stream, part.epoch)
    if key not in epochs:
        epochs[key] = _Epoch(np.zeros(total, dtype=np.int32), batch)
    epoch = epochs[key]
    # Window i of those in use is i x total // windows.
    nearest = -(-part.ids * windows // total)
    for id_ in part.ids[(part.ids >= total) | (nearest * total // windows != part.ids)][:1]:
        raise UserError(f"{where}: window {id_} is not one of the {windows:,} in use")
    again = part.ids[epoch.seen[part.ids] > 0]
    twice = part.ids[1:][np.diff(part.ids) == 0]
    for id_ in again[:1]:
        raise UserError(f"{where}: window {id_} was seen in batch {epoch.seen[id_]} already")
    for id_ in twice[:1]:
        raise UserError(f"{where}: window {id_} is in the batch twice")
    epoch.seen[part.ids] = batch
    epoch.windows += len(part.ids)


def _judge(path: Path, stream: dict[str, Any], number: int, epoch: _Epoch, later: bool) -> str:
    windows = stream["windows"]
    name = f"{stream['name']}, epoch {number}"
    if epoch.windows == windows:
        return f"{name}: all {windows:,} windows once"
    if later:
        used = np.arange(windows) * stream["total"] // windows
        missing = used[epoch.seen[used] == 0]
        raise UserError(
            f"{path}: {name}: {len(missing):,} of {windows:,} windows were never seen, the first "
            f"is {missing[0]}"
        )
    return f"{name}: {epoch.windows:,} of {windows:,} windows so far, each once"
