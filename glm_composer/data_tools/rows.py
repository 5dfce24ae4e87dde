"""Rows of a split in blocks, and where on the genome they lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.manifest import Locus, Manifest, read_manifest
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.sequence import Bytes

# Bases of a block: what stays in a core's cache is worked on several times faster.
_BLOCK_BASES = 1 << 17

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        name: of the split.
        shards: its windows.
        manifest: of the dataset.
    """

    name: str
    shards: Shards
    manifest: Manifest

    def blocks(
        self, first: int = 0, last: int | None = None, advance: Advance = lambda _: None
    ) -> Iterator[NDArray[Any]]:
        """Yield rows of windows [first, last) in order, a block [n] at a time.

        Raises:
            UserError: a shard cannot be read, or a window's contig is not in the manifest.
        """
        last = len(self.shards) if last is None else last
        step = max(1, _BLOCK_BASES // self.manifest.window_length)
        for start in range(first, last, step):
            rows = self.shards.gather(np.arange(start, min(start + step, last)))
            if rows["contig"].max() >= len(self.manifest.contigs):
                raise UserError(
                    f"{self.shards.path}: a window among samples {start:,} to "
                    f"{start + len(rows) - 1:,} lies on a contig that the manifest does not "
                    "list; see `glm data verify`"
                )
            yield rows
            advance(len(rows))

    def locus(self, row: NDArray[Any]) -> Locus:
        """Return where the window of a row lies.

        Raises:
            UserError: its contig is not in the manifest.
        """
        if row["contig"] >= len(self.manifest.contigs):
            raise UserError(
                f"{self.shards.path}: a window lies on contig {row['contig']}, which the "
                "manifest does not list; see `glm data verify`"
            )
        contig = self.manifest.contigs[int(row["contig"])]
        start = int(row["start"])
        end = start + len(letters(row))
        return Locus(contig.assembly, contig.name, start, end, int(row["strand"]))


def lengths_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Bases int64 [n] of windows [n], which rows of varying length tell themselves."""
    if "length" in (rows.dtype.names or ()):
        return rows["length"]
    return np.full(len(rows), rows["sequence"].shape[1], dtype=np.int64)


def letters(row: NDArray[Any]) -> Bytes:
    """Letters uint8 ASCII [length] of one window, without what fills up a shorter one."""
    varies = "length" in (row.dtype.names or ())
    return row["sequence"][: int(row["length"])] if varies else row["sequence"]


def open_splits(directory: Path) -> dict[str, Split]:
    """Open the splits of a dataset, in the manifest's order.

    Raises:
        UserError: there is no dataset, or its manifest or an index cannot be read; later, when a
            shard is first read, that its hash is another one.
    """
    manifest = read_manifest(directory)
    if not manifest.splits:
        raise UserError(f"{directory}: its manifest has no splits")
    return {
        name: Split(name, Shards(directory / name, validate_hash="auto"), manifest)
        for name in manifest.splits
    }


def show(locus: Locus) -> str:
    """Write a locus as `assembly contig:start-end (strand)`, 0-based and half-open."""
    strand = "+" if locus.strand > 0 else "-"
    return f"{locus.assembly} {locus.contig}:{locus.start:,}-{locus.end:,} ({strand})"
