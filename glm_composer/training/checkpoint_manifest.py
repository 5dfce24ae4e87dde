"""`CHECKPOINT.pt.json`: what a checkpoint's file must be. Written last, so it says "complete".

Nothing heavy is imported here: listing checkpoints must not take seconds.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from glm_composer.errors import UserError

FORMAT = 1
SUFFIX = ".json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a checkpoint.

    Attributes:
        bytes: size of its file.
        sha256: of its file.
        epoch: epochs done.
        batch: batches done.
        saved: when, as ISO-8601 in UTC.
        ranks: that trained; None if nobody knows.
        torch: its version; None if nobody knows.
        keep: kept for good.
        metrics: values that these very weights have reached, of the metrics that choose the best.
        format: of this file.
    """

    bytes: int
    sha256: str
    epoch: int
    batch: int
    saved: str
    ranks: int | None = None
    torch: str | None = None
    keep: bool = False
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    format: int = FORMAT


def manifest_path(checkpoint: Path) -> Path:
    """Return where a checkpoint's manifest lies, or would."""
    return checkpoint.with_name(checkpoint.name + SUFFIX)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest that is whole or not there, and wait until it is on the disk.

    Args:
        path: of the manifest itself.
        manifest: what it says.
    """
    from glm_composer.conversion.files import sync

    aside = path.with_name(path.name + ".partial")
    try:
        with aside.open("w") as file:
            file.write(json.dumps(dataclasses.asdict(manifest), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def read_manifest(checkpoint: Path) -> Manifest | None:
    """Read a checkpoint's manifest; None where there is none.

    Raises:
        UserError: it cannot be read, or is of a later format.
    """
    path = manifest_path(checkpoint)
    try:
        raw: Any = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if isinstance(raw, dict) and raw.get("format") not in (None, FORMAT):
        raise UserError(f"{path}: format {raw['format']}; this version reads {FORMAT}")
    try:
        manifest = Manifest(**raw)
        texts, numbers = (manifest.sha256, manifest.saved), manifest.metrics.values()
        right = (
            all(isinstance(each, str) for each in texts)
            and all(isinstance(each, int | float) for each in numbers)
            and all(type(each) is int for each in (manifest.bytes, manifest.epoch, manifest.batch))
            and isinstance(manifest.keep, bool)
        )
    except (TypeError, AttributeError):
        right = False
    if not right:
        raise UserError(f"{path}: not the manifest of a checkpoint")
    return manifest


def digest(file: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def defect(checkpoint: Path, thorough: bool = True) -> str | None:
    """Say what is wrong with a checkpoint; None if it is whole.

    Args:
        checkpoint: its file.
        thorough: read the file and compare its sha256; otherwise only its size.
    """
    try:
        manifest = read_manifest(checkpoint)
        size = checkpoint.stat().st_size
        if manifest is None:
            return "incomplete: it has no manifest"
        if size != manifest.bytes:
            return f"damaged: it has {size} bytes, not {manifest.bytes}"
        if thorough and digest(checkpoint) != manifest.sha256:
            return "damaged: its sha256 is not the one it was saved with"
    except UserError as error:
        return f"damaged: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None
