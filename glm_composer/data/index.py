"""A split's `index.json`: its shards, the files they lie in, and the columns of their rows."""

import hashlib
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from glm_composer.errors import UserError

FILE_NAME = "index.json"
# hashlib makes a shake only of a length, which an index does not give.
_HASHLIB = {name for name in hashlib.algorithms_available if not name.startswith("shake_")}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as the index lists it.

    Attributes:
        name: its path below the split's directory.
        bytes: its size.
        hashes: hex digests by the algorithm's name; may be empty.
    """

    name: str
    bytes: int
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard: `samples` rows in the file `raw`, which may be stored as `packed` instead.

    `compression` is Streaming's name, perhaps with a level, of how `packed` was compressed.
    """

    samples: int
    raw: StoredFile
    packed: StoredFile | None
    compression: str | None


@dataclass(frozen=True, slots=True)
class Index:
    """The shards of a split, and the columns that all of them have, in the order of a row."""

    path: Path
    shards: tuple[ShardEntry, ...]
    column_names: tuple[str, ...]
    column_encodings: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of columns, names, counts, sizes and hashes: which data this is."""
        what = [
            self.column_names,
            self.column_encodings,
            [
                (s.samples, s.raw.name, s.raw.bytes, sorted(s.raw.hashes.items()))
                for s in self.shards
            ],
        ]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def read_index(path: Path) -> Index:
    """Read the index of a split's directory; the shards themselves are not looked at.

    Raises:
        UserError: there is none, it cannot be read, or it lists no shards or other than MDS ones.
    """
    file = path / FILE_NAME
    try:
        index = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{file}: no MDS shards there") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot read: {error}") from None
    if not isinstance(index, dict) or not isinstance(index.get("shards"), list):
        raise UserError(f"{file}: not the index of MDS shards; convert the dataset again")
    if not index["shards"]:
        raise UserError(f"{file}: lists no shards: this split is empty")
    shards, columns = [], set()
    for number, shard in enumerate(index["shards"]):
        try:
            # MDS counts rows in 32 bits.
            if shard["format"] != "mds" or not 0 <= shard["samples"] < 1 << 32:
                raise ValueError
            packed = _stored(shard["zip_data"]) if shard.get("zip_data") else None
            raw = _stored(shard["raw_data"])
            entry = ShardEntry(
                operator.index(shard["samples"]), raw, packed, shard.get("compression")
            )
            columns.add((tuple(shard["column_names"]), tuple(shard["column_encodings"])))
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{file}: shard {number} is not described as an MDS shard; convert the dataset "
                f"again"
            ) from None
        if len(columns) > 1:
            raise UserError(
                f"{file}: shard {number} has other columns than shard 0; convert them into two "
                f"datasets"
            )
        shards.append(entry)
    ((names, encodings),) = columns
    return Index(path, tuple(shards), names, encodings)


def _stored(entry: dict[str, Any]) -> StoredFile:
    name, size = entry["basename"], entry["bytes"]
    parts = PurePosixPath(name)
    # A name decides where a download is written.
    if parts.is_absolute() or ".." in parts.parts or not isinstance(size, int):
        raise ValueError
    return StoredFile(name, size, dict(entry.get("hashes") or {}))


class DamagedFile(UserError):
    """A file that is not what the index says it is."""


def check_size(path: Path, size: int) -> None:
    """Check that a file has `size` bytes.

    Raises:
        UserError: it cannot be looked at.
        DamagedFile: it has another size.
    """
    try:
        found = path.stat().st_size
    except OSError as error:
        raise UserError(
            f"{path}: cannot read shard: {error.strerror or error}; convert the dataset again"
        ) from None
    if found != size:
        raise DamagedFile(
            f"{path}: {found} bytes, but its index says {size}; convert the dataset again"
        )


def check_hashes(path: Path, stored: StoredFile) -> None:
    """Read a file through and compare it with every hash the index has for it.

    Raises:
        DamagedFile: one differs.
        UserError: an algorithm is not known here, or the file cannot be read.
    """
    for name, expected in stored.hashes.items():
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, _algorithm(name)).hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot read shard: {error.strerror or error}") from None
        except AttributeError:
            raise UserError(
                f"{path}: its index has a hash '{name}', which is not known here"
            ) from None
        if found != expected:
            raise DamagedFile(
                f"{path}: its {name} is {found}, but its index says {expected}: the file is "
                f"damaged; copy or convert it again"
            )


def _algorithm(name: str) -> Any:
    import xxhash

    return name if name in _HASHLIB else getattr(xxhash, name)
