"""The bytes of one shard against what its index says of them: size, hashes, header, columns."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.columns import column_type, sequence_length
from glm_composer.data.index import DamagedFile, Index, StoredFile, check_hashes
from glm_composer.data.rows import FixedRows, MappedShard, VaryingRows
from glm_composer.data.unpack import unpack
from glm_composer.data_tools.defects import Findings
from glm_composer.errors import UserError
from glm_composer.sequence import Bytes

# Rows of a block, and bytes that they may take.
_BLOCK, _BLOCK_BYTES = 8192, 1 << 26


@dataclass(frozen=True)
class ShardRows:
    """The rows of a shard whose header is in order.

    Attributes:
        names: of the columns.
        length: bases of every `sequence`; None where that varies.
        count: of rows.
    """

    names: tuple[str, ...]
    length: int | None
    count: int
    _layout: FixedRows | VaryingRows
    _shard: MappedShard

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the number of a first row, and rows [n] from there on, as `Shards.gather` does.

        Raises:
            UserError: rows of varying length are damaged.
        """
        longest = int(np.diff(self._shard.offsets).max(initial=1))
        step = max(1, min(_BLOCK, _BLOCK_BYTES // longest))
        starts, mapped = np.array([0, self.count]), self._layout.map(self._shard)
        for first in range(0, self.count, step):
            ids = np.arange(first, min(first + step, self.count))
            # Both layouts take what they have made themselves.
            yield first, self._layout.gather(ids, starts, lambda _: mapped)  # type: ignore[arg-type,return-value]


def read_shard(split: Path, shard: dict[str, Any], findings: Findings) -> ShardRows | None:
    """Check a shard's files; return its rows [samples], None where they cannot be told.

    Args:
        split: directory of the split.
        shard: its entry in the index.
        findings: takes the defects.
    """
    samples, promised = int(shard["samples"]), shard.get("hashes") or []
    raw = _stored(shard["raw_data"])
    packed = _stored(shard["zip_data"]) if shard.get("zip_data") else None
    file, called = split / raw.name, f"{split.name}/{raw.name}"
    with tempfile.TemporaryDirectory(prefix="glm-verify-") as scratch:
        if packed is not None:
            packed_file = split / packed.name
            packed_called = f"{split.name}/{packed.name}"
            if not _check_file(packed_file, packed_called, packed, promised, samples, findings):
                return None
            # Readers unpack a shard once and leave it there.
            if not file.exists():
                file, called = Path(scratch) / "shard.mds", f"{packed_called}, unpacked"
                try:
                    unpack(packed_file, str(shard.get("compression")), file)
                except UserError as error:
                    what = str(error).removeprefix(f"{packed_file}: ")
                    findings.add(packed_called, what, samples)
                    return None
        if not _check_file(file, called, raw, promised, samples, findings):
            return None
        # A map outlives its file.
        body = np.memmap(file, dtype=np.uint8, mode="r")
    return _rows(called, file, body, shard, samples, findings)


def _stored(entry: dict[str, Any]) -> StoredFile:
    return StoredFile(entry["basename"], entry["bytes"], entry.get("hashes") or {})


def _check_file(
    file: Path,
    called: str,
    stored: StoredFile,
    promised: Sequence[str],
    samples: int,
    findings: Findings,
) -> bool:
    """Check a file's size and hashes; return whether it is there and of that size."""
    try:
        size = file.stat().st_size
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        findings.add(
            called, "missing" if missing else f"cannot be read: {error.strerror}", samples
        )
        return False
    findings.bytes += size
    if size != stored.bytes:
        kind = "truncated" if size < stored.bytes else "too long"
        findings.add(called, f"{kind}: {size:,} bytes, its index says {stored.bytes:,}", samples)
        return False
    findings.hashed += bool(stored.hashes)
    lacking = sorted(set(promised) - set(stored.hashes))
    if lacking:
        findings.add(called, f"its index lacks its {', '.join(lacking)}", samples)
    for algorithm, expected in stored.hashes.items():
        try:
            check_hashes(file, StoredFile(stored.name, stored.bytes, {algorithm: expected}))
        except UserError as error:
            damaged = isinstance(error, DamagedFile)
            findings.add(called, str(error).removeprefix(f"{file}: "), samples if damaged else 0)
            if damaged:
                break
    return size > 0


def _layout(file: Path, shard: dict[str, Any]) -> tuple[Index, FixedRows | VaryingRows]:
    """Return how rows of such columns are read; raises where they cannot be."""
    names, encodings = tuple(shard["column_names"]), tuple(shard["column_encodings"])
    index = Index(file, (), names, encodings)
    fixed = all(column_type(encoding) is not None for encoding in encodings)
    return index, FixedRows(index) if fixed else VaryingRows(index)


def _rows(
    where: str, file: Path, body: Bytes, shard: dict[str, Any], samples: int, findings: Findings
) -> ShardRows | None:
    """Check a shard's header; return its rows, or None where it has another."""
    columns = list(zip(shard["column_names"], shard["column_encodings"], strict=True))
    try:
        index, layout = _layout(file, shard)
    except (TypeError, ValueError, AttributeError, UserError):
        described = ", ".join(f"{name} {encoding}" for name, encoding in columns)
        findings.add(where, f"its columns cannot be read as windows: {described}", samples)
        return None
    header = body[: 4 * (samples + 2)]
    if len(header) < 4 * (samples + 2) or header.view("<u4")[0] != samples:
        held = f"{header[:4].view('<u4')[0]:,}" if len(header) >= 4 else "no"
        findings.add(where, f"its header says {held} samples, its index {samples:,}", samples)
        return None
    offsets = header.view("<u4")[1:].astype(np.int64)
    expected = offsets
    if isinstance(layout, FixedRows):
        expected = offsets[0] + layout.row.itemsize * np.arange(samples + 1)
    falls = np.diff(offsets, prepend=4 * (samples + 2)) < 0
    wrong = np.flatnonzero((offsets != expected) | falls)
    if len(wrong) or expected[-1] != len(body):
        at = f"offset of sample {wrong[0]:,}" if len(wrong) else "end of the last sample"
        findings.add(where, f"its header is damaged: the {at} is wrong", samples)
        return None
    _check_columns(where, body[4 * (samples + 2) : offsets[0]], shard, samples, findings)
    mapped = MappedShard(file, body, header.view("<u4")[1:])
    return ShardRows(index.column_names, sequence_length(index), samples, layout, mapped)


def _check_columns(
    where: str, text: Bytes, shard: dict[str, Any], samples: int, findings: Findings
) -> None:
    """Check the description of the rows, which header and index both hold."""
    try:
        columns = json.loads(text.tobytes())
    except ValueError:
        findings.add(where, "its header is damaged: the description of its columns", samples)
        return
    if not isinstance(columns, dict):
        columns = {}
    for key in ("format", *columns):
        if columns.get(key) != shard.get(key):
            findings.add(
                where, f"its header has {key} {columns.get(key)}, its index {shard.get(key)}"
            )
