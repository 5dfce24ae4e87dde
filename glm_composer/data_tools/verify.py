"""Is a dataset what its index files and its manifest say? Every defect is listed.

What can be known depends on what was kept. Hashes in an index show any changed byte. Without them
a changed byte shows where it breaks the header, a letter, a place or a count, and, where genome.fa
lies beside the windows, wherever it makes another base.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from glm_composer.conversion.coverage import Coverage
from glm_composer.conversion.genome_file import FILE_NAME as GENOME
from glm_composer.conversion.manifest import FILE_NAME, Manifest, SplitCounts, read_manifest
from glm_composer.data_tools.defects import Findings
from glm_composer.data_tools.rows import lengths_of
from glm_composer.data_tools.shard_bytes import ShardRows, read_shard
from glm_composer.data_tools.window_checks import check_windows
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.sequence import UNK, encode, is_soft_masked

Advance = Callable[[int], None]


def verify(directory: Path, advance: Advance = lambda _: None) -> Findings:
    """Check every file of a dataset.

    Holds a block of windows, and 8 bytes for every window of a split, 16 where lengths vary.

    Args:
        directory: of the dataset.
        advance: called with the number of windows a shard holds when it is done.

    Raises:
        UserError: there is no such directory.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory")
    findings = Findings()
    manifest = _manifest(directory, findings)
    with ExitStack() as stack:
        genome = None
        if manifest is not None and (directory / GENOME).exists():
            try:
                genome = stack.enter_context(Genome(directory / GENOME))
            except UserError as error:
                findings.add(GENOME, str(error))
        for split in split_names(directory, manifest):
            _check_split(directory / split, manifest, genome, findings, advance)
    return findings


def split_names(directory: Path, manifest: Manifest | None) -> list[str]:
    """Return the splits of a manifest, and those that only lie there."""
    there = sorted(file.parent.name for file in directory.glob("*/index.json"))
    named = list(manifest.splits) if manifest is not None else []
    return named + [split for split in there if split not in named]


def count_windows(directory: Path) -> int:
    """Return how many windows the index files list, as far as they can be read."""
    total = 0
    for split in split_names(directory, None):
        shards = _index(directory / split, Findings())
        total += sum(shard["samples"] for shard in shards)
    return total


def _manifest(directory: Path, findings: Findings) -> Manifest | None:
    try:
        return read_manifest(directory)
    except UserError as error:
        findings.add(FILE_NAME, str(error).removeprefix(f"{directory / FILE_NAME}: "))
        return None


def _check_split(
    path: Path,
    manifest: Manifest | None,
    genome: Genome | None,
    findings: Findings,
    advance: Advance,
) -> None:
    counts = manifest.splits.get(path.name) if manifest is not None else None
    if manifest is not None and counts is None:
        findings.add(path.name, "a split that the manifest does not list")
    before = len(findings.defects)
    shards = _index(path, findings, counts)
    totals = _Totals()
    known = {"index.json"}
    for shard in shards:
        findings.shards += 1
        names = [shard[key]["basename"] for key in ("raw_data", "zip_data") if shard.get(key)]
        known.update(names)
        rows = read_shard(path, shard, findings)
        if rows is not None and manifest is not None:
            _check_rows(f"{path.name}/{names[0]}", rows, manifest, genome, findings, totals)
        advance(shard["samples"])
    for file in sorted(path.glob("*.mds*")):
        unfinished = file.name.startswith(".")
        if shards and file.name not in known and not unfinished:
            findings.add(f"{path.name}/{file.name}", "a shard that the index does not list")
    if counts is not None:
        listed = sum(shard["samples"] for shard in shards)
        if shards and listed != counts.windows:
            where = f"{path.name}/index.json"
            findings.add(where, f"{listed:,} windows, the manifest says {counts.windows:,}")
        elif len(findings.defects) == before:
            # Only whole splits can be counted.
            totals.compare(path.name, counts, findings)


def _index(
    path: Path, findings: Findings, counts: SplitCounts | None = None
) -> list[dict[str, Any]]:
    """Return the shards an index describes in full; note what it lacks."""
    where, lost = f"{path.name}/index.json", counts.windows if counts is not None else 0
    try:
        shards = json.loads((path / "index.json").read_bytes())["shards"]
        if not isinstance(shards, list):
            raise TypeError
    except FileNotFoundError:
        findings.add(where, "missing", lost)
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        findings.add(where, f"not a readable index ({type(error).__name__}: {error})", lost)
        return []
    if not shards:
        findings.add(where, "lists no shards", lost)
    described = []
    for number, shard in enumerate(shards):
        if _is_described(shard):
            described.append(shard)
        else:
            findings.add(where, f"shard {number:,} is not described as an MDS shard")
    return described


def _is_described(shard: Any) -> bool:
    def is_file(entry: Any) -> bool:
        return (
            isinstance(entry, dict)
            and isinstance(entry.get("basename"), str)
            and Path(entry["basename"]).name == entry["basename"]
            and isinstance(entry.get("bytes"), int)
            and isinstance(entry.get("hashes") or {}, dict)
        )

    return (
        isinstance(shard, dict)
        and isinstance(shard.get("samples"), int)
        and shard["samples"] >= 0
        and is_file(shard.get("raw_data"))
        and (shard.get("zip_data") is None or is_file(shard["zip_data"]))
        and isinstance(shard.get("hashes") or [], list)
        and all(isinstance(name, str) for name in shard.get("hashes") or [])
        and isinstance(shard.get("column_names"), list)
        and isinstance(shard.get("column_encodings"), list)
        and len(shard["column_names"]) == len(shard["column_encodings"])
    )


def _check_rows(
    where: str,
    rows: ShardRows,
    manifest: Manifest,
    genome: Genome | None,
    findings: Findings,
    totals: "_Totals",
) -> None:
    expected = {"contig", "sequence", "start", "strand"}
    missing = expected - set(rows.names)
    if missing or rows.length not in (manifest.window_length, None):
        findings.add(
            where,
            f"columns {', '.join(rows.names)}; windows of "
            f"{manifest.window_length:,} bases need {', '.join(sorted(expected))}",
            rows.count,
        )
        return
    try:
        for first, block in rows.blocks():
            check_windows(where, block, first, manifest, genome, findings)
            totals.add(block)
    except UserError as error:
        findings.add(where, str(error).partition(": ")[2], rows.count)


class _Totals:
    """What the manifest counts of a split, counted again."""

    def __init__(self) -> None:
        self._windows = self._soft_masked = self._unknown = 0
        self._covered = Coverage(in_order=False)

    def add(self, rows: NDArray[Any]) -> None:
        lengths, width = lengths_of(rows), rows["sequence"].shape[1]
        self._windows += len(rows)
        self._soft_masked += int(is_soft_masked(rows["sequence"]).sum())
        # What fills up a shorter window looks unknown as well.
        self._unknown += int((encode(rows["sequence"]) == UNK).sum() - (width - lengths).sum())
        varies = "length" in (rows.dtype.names or ())
        self._covered.add(rows["contig"], rows["start"], lengths if varies else width)

    def compare(self, split: str, counts: SplitCounts, findings: Findings) -> None:
        counted = {
            "windows": self._windows,
            "bases": self._covered.bases,
            "soft_masked": self._soft_masked,
            "unknown": self._unknown,
            "covered": self._covered.finish(),
        }
        for key, found in counted.items():
            said = getattr(counts, key)
            if found != said:
                findings.add(
                    f"{FILE_NAME}, splits.{split}.{key}",
                    f"says {said:,}, the shards hold {found:,}",
                )
