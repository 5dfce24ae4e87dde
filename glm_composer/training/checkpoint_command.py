"""What the verbs of `glm checkpoints` do; torch is imported by `accept` alone."""

import os
from datetime import UTC, datetime
from pathlib import Path

from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.runs.folder import CHECKPOINTS
from glm_composer.training.checkpoint_folder import (
    BEST,
    LATEST,
    is_interrupted,
    known,
    list_checkpoints,
    place_of,
)
from glm_composer.training.checkpoint_manifest import (
    Manifest,
    defect,
    digest,
    manifest_path,
    write_manifest,
)

_COLUMNS = ("checkpoint", "state", "kept as", "saved, UTC", "metrics", "epoch", "batch", "MB")


def print_list(run: Path) -> None:
    """Print a run's checkpoints from the first to the last, without reading them through.

    Raises:
        UserError: there are none.
    """
    checkpoints = _checkpoints(run)
    manifests = known(run / CHECKPOINTS)
    links = {
        label: os.readlink(link)
        for name, label in ((BEST, "best"), (LATEST, "latest"))
        if (link := run / CHECKPOINTS / name).is_symlink()
    }
    rows = []
    for path in checkpoints:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            # The run goes on, and has no more use for it.
            continue
        manifest = manifests.get(path)
        kept = [label for label, name in links.items() if name == path.name]
        kept += ["for good"] if manifest and manifest.keep else []
        batch, epoch = place_of(path) or (0, 0)
        metrics = manifest.metrics.items() if manifest else ()
        rows.append(
            (
                path.name,
                defect(path, thorough=False) or "complete",
                ", ".join(kept),
                manifest.saved.partition("+")[0] if manifest else "",
                ", ".join(f"{name} {value:.6g}" for name, value in metrics),
                str(epoch),
                str(batch),
                f"{size / 1e6:.1f}",
            )
        )
    print_columns(_COLUMNS, rows, words=5)


def print_verified(path: Path) -> bool:
    """Read a run's checkpoints, or one, through; print what each is. Return whether all are whole.

    Raises:
        UserError: there are none.
    """
    whole = True
    for checkpoint in [path.resolve()] if path.is_file() else _checkpoints(path):
        wrong = defect(checkpoint)
        whole = whole and wrong is None
        print(f"{checkpoint}: {wrong or 'whole'}")
    return whole


def accept(run: Path) -> dict[Path, str | None]:
    """Write the manifests of checkpoints without.

    Returns:
        Each of these checkpoints -> None, or why it was not accepted: it is damaged, or holds more
        than plain data.

    Raises:
        UserError: there are no checkpoints.
    """
    found: dict[Path, str | None] = {}
    for checkpoint in _checkpoints(run):
        if manifest_path(checkpoint).exists() or is_interrupted(checkpoint):
            continue
        try:
            _accept(checkpoint)
            found[checkpoint] = None
        except UserError as error:
            found[checkpoint] = str(error)
    return found


def _accept(checkpoint: Path) -> None:
    from glm_composer.training.checkpoint_file import check_bytes, read_checkpoint

    check_bytes(checkpoint)
    read_checkpoint(checkpoint, mapped=True)
    batch, epoch = place_of(checkpoint) or (0, 0)
    status = checkpoint.stat()
    manifest = Manifest(
        bytes=status.st_size,
        sha256=digest(checkpoint),
        epoch=epoch,
        batch=batch,
        saved=datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds"),
    )
    write_manifest(manifest_path(checkpoint), manifest)


def _checkpoints(run: Path) -> list[Path]:
    found = list_checkpoints(run / CHECKPOINTS)
    if not found:
        raise UserError(f"{run}: no checkpoints in {run / CHECKPOINTS}; is it a run's directory?")
    return found
