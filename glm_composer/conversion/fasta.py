"""FASTA, plain, gzip or bgzip -> contigs: one contig in memory at a time, at memory speed.

The file is read in blocks. `>` is not a nucleotide code, so one memchr per block finds the
headers; line ends go with `bytes.replace`, and what is left is checked by deleting every valid
letter: no line is ever a Python object. Line numbers are needed only by errors, and are counted
only then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.files import open_stream
from glm_composer.errors import UserError
from glm_composer.sequence import IUPAC

T = TypeVar("T")

# What stays in a core's cache is worked through faster.
_BLOCK = 1 << 20
_LETTERS = IUPAC + IUPAC.lower()
_BLANK = b"\n\r"


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's sequence lies: bytes [start, end) of the decompressed file.

    `length` counts its bases, which is less: line ends lie between them. `file` is the size of
    the file in bytes, and the time of its last change in nanoseconds.
    """

    start: int
    end: int
    length: int
    file: tuple[int, int]


def read_fasta(path: str | Path) -> Iterator[Contig]:
    """Yield the contigs of a FASTA file in file order, named by the first word of their header.

    Line ends may be any of `\\n`, `\\r\\n` and `\\r`, mixed; blank lines are allowed.

    Raises:
        UserError: naming the file and the line or record: missing or empty file, truncated gzip
            stream, text before the first header, header without a name, record without a sequence,
            two records of one name, a character outside the IUPAC nucleotide codes.
    """
    for name, sequence, _, _ in _read(Path(path), _join):
        yield Contig(name, np.frombuffer(sequence, dtype=np.uint8))


def scan_fasta(path: str | Path) -> dict[str, Record]:
    """Read a FASTA file through and return where its records lie, by name, in file order.

    Raises:
        UserError: as `read_fasta`.
    """
    path = Path(path)
    # Before it is read: a change while it is read counts as well.
    file = _state(path)
    records = _read(path, lambda parts: sum(map(len, parts)))
    return {name: Record(start, end, length, file) for name, length, start, end in records}


def read_record(path: str | Path, name: str, record: Record) -> Contig:
    """Read one contig of an uncompressed FASTA file that `scan_fasta` has been through.

    The letters are not checked again: the file is the one in which they were.

    Raises:
        UserError: the file is missing, or no longer what it was.
    """
    path = Path(path)
    sequence = np.empty(record.length, dtype=np.uint8)
    done = 0
    with open_stream(path) as stream:
        for start in range(stream.seek(record.start), record.end, _BLOCK):
            letters = _without_line_ends(stream.read(min(_BLOCK, record.end - start)))
            end = done + len(letters)
            if end <= record.length:
                sequence[done:end] = np.frombuffer(letters, dtype=np.uint8)
            done = end
    # After it was read, for the same reason.
    if done != record.length or _state(path) != record.file:
        raise UserError(f"{path}: changed while it was converted, at record '{name}'; start again")
    return Contig(name, sequence)


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # whoever reads it says so
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _read(
    path: Path, collect: Callable[[Iterator[bytes]], T]
) -> Iterator[tuple[str, T, int, int]]:
    """Yield each record's name, what `collect` makes of its letters, and where they lie."""
    seen: set[str] = set()
    with open_stream(path) as stream:
        scanner = _Scanner(path, stream)
        scanner.skip_to_first_header()
        while (header_at := scanner.position) < scanner.end:
            words = scanner.read_header().split(maxsplit=1)
            if not words:
                raise _error(path, header_at, "header without a name; name the record")
            name = words[0].decode(errors="replace")
            if name in seen:
                raise _error(path, header_at, f"second record named '{name}'; rename one")
            seen.add(name)
            start = scanner.position
            collected = collect(scanner.read_letters(name))
            if not collected:
                raise _error(path, header_at, f"record '{name}' has no sequence; is the file cut?")
            yield name, collected, start, scanner.position


def _join(parts: Iterator[bytes]) -> bytearray:
    sequence = bytearray()
    for part in parts:
        sequence += part
    return sequence


def _without_line_ends(text: bytes) -> bytes:
    return text.replace(b"\n", b"").replace(b"\r", b"")


class _Scanner:
    """A block of the stream and a cursor in it; `position` and `end` are offsets in the stream."""

    def __init__(self, path: Path, stream: BinaryIO):
        self._path = path
        self._stream = stream
        self._block = b""
        self._cursor = 0
        self._before = 0
        self._fill()

    @property
    def position(self) -> int:
        return self._before + self._cursor

    @property
    def end(self) -> int:
        return self._before + len(self._block)

    def _fill(self) -> bool:
        self._before += len(self._block)
        self._block = self._stream.read(_BLOCK)
        self._cursor = 0
        return bool(self._block)

    def _take_until(self, letters: bytes) -> Iterator[bytes]:
        """Yield all that comes before the first of `letters` or the end, and stop there."""
        while True:
            start, stop = self._cursor, len(self._block)
            for letter in letters:
                # Never behind what the letter before found, or a file without `\r` would be
                # searched to the end of the block at every header.
                found = self._block.find(letter, start, stop)
                stop = found if found >= 0 else stop
            self._cursor = stop
            yield self._block[start:stop]
            if stop < len(self._block) or not self._fill():
                return

    def skip_to_first_header(self) -> None:
        for part in self._take_until(b">"):
            text = part.lstrip(_BLANK)
            if text:
                message = "text before the first '>' header; is this a FASTA file?"
                raise _error(self._path, self.position - len(text), message)
        if self.position == self.end:
            raise UserError(f"{self._path}: no record in the file; is this a FASTA file?")

    def read_header(self) -> bytes:
        self._cursor += 1
        return b"".join(self._take_until(_BLANK))

    def read_letters(self, name: str) -> Iterator[bytes]:
        ends_line = True
        for part in self._take_until(b">"):
            letters = _without_line_ends(part)
            if letters.translate(None, _LETTERS):
                self._refuse(name, part)
            ends_line = part.endswith((b"\n", b"\r")) if part else ends_line
            yield letters
        if not ends_line and self.position < self.end:
            raise self._bad_letter(name, b">", self.position)

    def _refuse(self, name: str, part: bytes) -> None:
        valid = np.zeros(256, dtype=bool)
        valid[list(_LETTERS + _BLANK)] = True
        first = int(np.argmin(valid[np.frombuffer(part, dtype=np.uint8)]))
        raise self._bad_letter(name, part[first : first + 1], self.position - len(part) + first)

    def _bad_letter(self, name: str, letter: bytes, at: int) -> UserError:
        message = (
            f"record '{name}' holds {letter.decode('latin-1')!r}, not an IUPAC nucleotide code; "
            "correct or remove it"
        )
        return _error(self._path, at, message)


def _error(path: Path, offset: int, message: str) -> UserError:
    return UserError(f"{path}, line {_line_at(path, offset)}: {message}")


def _line_at(path: Path, offset: int) -> int:
    """1-based line of an offset in the decompressed stream; `\\n`, `\\r\\n`, `\\r` end lines."""
    line, previous = 1, b""
    with open_stream(path) as stream:
        while offset > 0 and (block := stream.read(min(_BLOCK, offset))):
            offset -= len(block)
            joined = previous + block
            line += joined.count(b"\n") + joined.count(b"\r") - joined.count(b"\r\n")
            # A `\r` at the end of a block waits for the next one, which may open with its `\n`.
            previous = block[-1:] if block.endswith(b"\r") else b""
            line -= len(previous)
    return line + len(previous)
