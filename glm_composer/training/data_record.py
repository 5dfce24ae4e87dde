"""Which data a run was trained on and measured by: checksums of small files, sizes of others."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glm_composer.config import Config
from glm_composer.conversion.manifest import FILE_NAME

_INDEX = "index.json"


def data_record(config: Config) -> dict[str, Any]:
    """Return what `data.json` says of a run's data.

    `datasets`: path -> `manifest` and `splits` (name -> index), as SHA-256. `tables`: name ->
    `variants` and `genome`, as `path`, `size` in bytes and `modified`, ISO-8601 UTC. What is not
    on this machine is null: an address, a Hub dataset, or the index of a split not yet fetched.
    """
    paths = [config.data.path, *(stream.path for stream in config.data.streams.values())]
    return {
        "datasets": {path: _dataset(Path(path)) for path in dict.fromkeys(paths)},
        "tables": {
            name: {"variants": _file(Path(table.variants)), "genome": _file(Path(table.genome))}
            for name, table in config.evaluation.tables.items()
        },
    }


def _dataset(path: Path) -> dict[str, Any]:
    indexes = sorted(path.glob(f"*/{_INDEX}"))
    return {
        "manifest": _sha256(path / FILE_NAME),
        "splits": {index.parent.name: _sha256(index) for index in indexes},
    }


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _file(path: Path) -> dict[str, Any] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    modified = datetime.fromtimestamp(found.st_mtime, UTC).isoformat()
    return {"path": str(path), "size": found.st_size, "modified": modified}
