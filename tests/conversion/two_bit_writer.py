"""A writer of 2bit files for tests, after UCSC's description of the format; base by base."""

import struct
from collections.abc import Callable
from pathlib import Path

_CODES = {"T": 0, "C": 1, "A": 2, "G": 3}


def write_two_bit(path: Path, sequences: dict[str, str]) -> Path:
    """Write sequences of ACGTN, lower case as soft mask."""
    records = [_record(text) for text in sequences.values()]
    offset = 16 + sum(5 + len(name.encode()) for name in sequences)
    index = b""
    for name, record in zip(sequences, records, strict=True):
        encoded = name.encode()
        index += bytes([len(encoded)]) + encoded + struct.pack("<I", offset)
        offset += len(record)
    header = struct.pack("<4I", 0x1A412743, 0, len(sequences), 0)
    path.write_bytes(header + index + b"".join(records))
    return path


def _record(text: str) -> bytes:
    upper = text.upper()
    padded = upper + "T" * (-len(text) % 4)
    codes = [_CODES.get(base, 0) for base in padded]
    packed = bytes(
        codes[i] << 6 | codes[i + 1] << 4 | codes[i + 2] << 2 | codes[i + 3]
        for i in range(0, len(codes), 4)
    )
    blocks = _blocks(upper, lambda base: base == "N") + _blocks(text, str.islower)
    return struct.pack("<I", len(text)) + blocks + struct.pack("<I", 0) + packed


def _blocks(text: str, inside: Callable[[str], bool]) -> bytes:
    starts = [i for i in range(len(text)) if inside(text[i]) and not (i and inside(text[i - 1]))]
    sizes = [
        next((k for k in range(s, len(text)) if not inside(text[k])), len(text)) - s
        for s in starts
    ]
    return struct.pack(f"<I{len(starts)}I{len(sizes)}I", len(starts), *starts, *sizes)
