"""The checkpoints of a run: which there are, which is the best, which may go.

All of it is read from the files themselves, so that it is the same before and after a kill.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from glm_composer.errors import UserError
from glm_composer.training.checkpoint_manifest import (
    SUFFIX,
    Manifest,
    defect,
    manifest_path,
    read_manifest,
)

_LOG = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]

# Directory beside the checkpoints that holds the one being written.
ASIDE = "partial"
LATEST = "latest-rank0.pt"
BEST = "best-rank0.pt"
# Ends the name of a checkpoint that a run has found to be damaged.
DAMAGED = ".damaged"
_NAME = re.compile(r"ep(\d+)-ba(\d+)-rank0\.pt")


def place_of(checkpoint: Path) -> tuple[int, int] | None:
    """Return (batches, epochs) done, as its name says; None if it is not named so."""
    match = _NAME.fullmatch(checkpoint.name)
    return (int(match[2]), int(match[1])) if match else None


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, whole or not, from the first to the last."""
    if not folder.is_dir():
        return []
    found = [(place, path) for path in folder.iterdir() if (place := place_of(path))]
    return [path for _, path in sorted(found)]


def is_interrupted(checkpoint: Path) -> bool:
    """Return whether a kill came after a checkpoint and before its manifest."""
    waiting = checkpoint.parent / ASIDE / manifest_path(checkpoint).name
    return waiting.exists() and not manifest_path(checkpoint).exists()


def newest_whole(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """Return the last whole checkpoint, and what is wrong with each that comes after it.

    None of a run whose first checkpoint was interrupted, or that has none.

    Raises:
        UserError: there are checkpoints, and none can be gone on from.
    """
    wrong: dict[Path, str] = {}
    for checkpoint in reversed(list_checkpoints(folder)):
        found = defect(checkpoint)
        if found is None:
            return checkpoint, wrong
        wrong[checkpoint] = found
    if all(is_interrupted(checkpoint) for checkpoint in wrong):
        return None, wrong
    listed = "; ".join(f"{path.name} is {found}" for path, found in wrong.items())
    raise UserError(
        f"{folder}: no checkpoint to go on from: {listed}; put back a copy, or take those that "
        f"were saved before there were manifests with `glm checkpoints accept {folder.parent}`, "
        "or remove the run's directory to start afresh"
    )


def known(folder: Path) -> dict[Path, Manifest]:
    """Return the checkpoints that have a readable manifest, from the first to the last."""
    found: dict[Path, Manifest] = {}
    for checkpoint in list_checkpoints(folder):
        try:
            manifest = read_manifest(checkpoint)
        except UserError as error:
            _LOG.warning("%s", error)
            continue
        if manifest is not None:
            found[checkpoint] = manifest
    return found


def find_best(
    checkpoints: dict[Path, Manifest], metric: str, direction: Direction
) -> tuple[Path, float] | None:
    """Return the checkpoint with the best value of a metric, the first of equals; None of none."""
    values = [
        (path, each.metrics[metric])
        for path, each in checkpoints.items()
        if metric in each.metrics
    ]
    choose = min if direction == "minimize" else max
    return choose(values, key=lambda each: each[1]) if values else None


def rotate(checkpoints: dict[Path, Manifest], last: int, spared: Iterable[Path]) -> list[Path]:
    """Remove all but the last so many, those kept for good, and those that are spared.

    Returns:
        What was removed.
    """
    old = list(checkpoints)[: max(0, len(checkpoints) - last)]
    gone = [path for path in old if not checkpoints[path].keep and path not in set(spared)]
    for path in gone:
        # In this order: a manifest alone misleads nobody.
        path.unlink(missing_ok=True)
        manifest_path(path).unlink(missing_ok=True)
    return gone


def link(folder: Path, name: str, target: Path) -> None:
    """Let the link `name` lead to a checkpoint beside it; there is no moment without the link."""
    place, aside = folder / name, folder / f"{name}.partial"
    if place.is_symlink() and os.readlink(place) == target.name:
        return
    aside.unlink(missing_ok=True)
    aside.symlink_to(target.name)
    os.replace(aside, place)


def tidy(folder: Path) -> None:
    """Remove what kills have left: torsos, and manifests of checkpoints that are gone."""
    for checkpoint in list_checkpoints(folder):
        if is_interrupted(checkpoint):
            checkpoint.unlink()
    shutil.rmtree(folder / ASIDE, ignore_errors=True)
    for path in folder.glob("*.partial"):
        path.unlink()
    for path in folder.glob(f"*.pt{SUFFIX}"):
        if not path.with_name(path.name.removesuffix(SUFFIX)).exists():
            path.unlink()


def set_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint, so that nothing takes it for one; return its new name."""
    path = manifest_path(checkpoint)
    if path.exists():
        os.replace(path, path.with_name(path.name + DAMAGED))
    return checkpoint.replace(checkpoint.with_name(checkpoint.name + DAMAGED))
