"""The bytes of one shard against what its index says of them: size, hashes, header, columns."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.index import DamagedFile, StoredFile, check_hashes
from glm_composer.data.rows import column_type
from glm_composer.data.unpack import unpack
from glm_composer.data_tools.defects import Findings
from glm_composer.errors import UserError
from glm_composer.sequence import Bytes


def read_shard(split: Path, shard: dict[str, Any], findings: Findings) -> NDArray[Any] | None:
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
    return _rows(called, body, shard, samples, findings)


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


def _rows(
    where: str, body: Bytes, shard: dict[str, Any], samples: int, findings: Findings
) -> NDArray[Any] | None:
    """Check a shard's header; return its rows [samples], or None where it has another."""
    columns = list(zip(shard["column_names"], shard["column_encodings"], strict=True))
    try:
        fields: list[Any] = [(name, column_type(encoding)) for name, encoding in columns]
        # NumPy takes no type for a float.
        if any(kind is None for _, kind in fields):
            raise TypeError
        row = np.dtype(fields)
    except (TypeError, ValueError, AttributeError):
        described = ", ".join(f"{name} {encoding}" for name, encoding in columns)
        findings.add(where, f"not all of its columns have a fixed size: {described}", samples)
        return None
    header = body[: 4 * (samples + 2)]
    if len(header) < 4 * (samples + 2) or header.view("<u4")[0] != samples:
        held = f"{header[:4].view('<u4')[0]:,}" if len(header) >= 4 else "no"
        findings.add(where, f"its header says {held} samples, its index {samples:,}", samples)
        return None
    offsets = header.view("<u4")[1:].astype(np.int64)
    expected = offsets[0] + row.itemsize * np.arange(samples + 1)
    wrong = np.flatnonzero(offsets != expected)
    if len(wrong) or expected[-1] != len(body):
        at = f"offset of sample {wrong[0]:,}" if len(wrong) else "end of the last sample"
        findings.add(where, f"its header is damaged: the {at} is wrong", samples)
        return None
    _check_columns(where, body[4 * (samples + 2) : offsets[0]], shard, samples, findings)
    return body[offsets[0] :].view(row)


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
