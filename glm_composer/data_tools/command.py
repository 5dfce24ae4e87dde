"""The verbs of `glm data` as a command runs them: read, compute, print, write files."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from glm_composer.errors import UserError

if TYPE_CHECKING:
    from glm_composer.data.prepare import Prepare
    from glm_composer.data_tools.leakage import Leakage
    from glm_composer.data_tools.stats import Stats

STATS, LEAKAGE, PAGE = "stats.json", "leakage.json", "data.html"

T = TypeVar("T")


def verify(directory: Path) -> bool:
    """Check a dataset, print what was found, and return whether it is sound."""
    from glm_composer.data_tools import verify as checks
    from glm_composer.data_tools.progress import windows_bar
    from glm_composer.data_tools.terminal import print_findings

    with windows_bar("verifying", checks.count_windows(directory)) as advance:
        findings = checks.verify(directory, advance)
    print_findings(findings)
    return not findings.defects


def inspect(
    directory: Path,
    sample: int | None,
    split: str,
    *,
    config: Path | None,
    seed: int | None,
    epoch: int | None,
) -> None:
    """Print a dataset's overview, or one of its windows."""
    from glm_composer.data_tools.inspect import describe_window, overview, preparation

    if sample is None:
        lines = overview(directory)
    else:
        prepare: Prepare | None = None
        if not (config is None and seed is None and epoch is None):
            prepare = preparation(directory, split, config, seed)
        lines = describe_window(directory, split, sample, prepare, epoch or 0)
    for line in lines:
        print(line)


def stats(directory: Path, out: Path | None) -> None:
    """Count a dataset, print the table, and write it beside the dataset or into `out`."""
    from glm_composer.data_tools.stats import count
    from glm_composer.data_tools.terminal import print_stats

    counted = count(directory)
    print_stats(counted)
    _write(directory, out, STATS, counted)


def leakage(
    directory: Path, out: Path | None, train: str, threshold: float | None, pairs: int
) -> None:
    """Compare held-out splits with train, print the tables, and write them."""
    from glm_composer.data_tools.leakage import THRESHOLD, find_leakage
    from glm_composer.data_tools.terminal import print_leakage

    found = find_leakage(directory, train, THRESHOLD if threshold is None else threshold, pairs)
    print_leakage(found)
    _write(directory, out, LEAKAGE, found)


def _write(directory: Path, out: Path | None, name: str, figures: "Stats | Leakage") -> None:
    """Write figures as json, and the page of all figures that there are of this dataset."""
    from glm_composer.conversion.manifest import read_manifest
    from glm_composer.data_tools.leakage import Leakage
    from glm_composer.data_tools.page import page
    from glm_composer.data_tools.stats import Stats
    from glm_composer.report.document import replace_text

    out = directory if out is None else out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
    replace_text(out / name, json.dumps(dataclasses.asdict(figures), indent=1) + "\n")
    manifest = read_manifest(directory)
    # Figures of another dataset may lie there from before.
    stats, leakage = _read(out / STATS, Stats), _read(out / LEAKAGE, Leakage)
    stats = stats if stats and stats.created == manifest.created else None
    leakage = leakage if leakage and leakage.created == manifest.created else None
    replace_text(out / PAGE, page(manifest, stats, leakage))
    print(f"report: {out / PAGE}")


def _read(path: Path, kind: type[T]) -> T | None:
    """Read figures that an earlier verb wrote; None where there are none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise UserError(f"{path}: not the figures of a dataset; remove it") from None
