"""Windows against what the manifest and the genome beside them say."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from glm_composer.conversion.manifest import Manifest
from glm_composer.data_tools.defects import Findings
from glm_composer.data_tools.rows import lengths_of
from glm_composer.genome import Genome
from glm_composer.sequence import is_iupac, reverse_complement

Rows = NDArray[Any]

# Upper case of a letter, whatever its case.
_UPPER = np.uint8(0xDF)


def check_windows(
    where: str,
    rows: Rows,
    first: int,
    manifest: Manifest,
    genome: Genome | None,
    findings: Findings,
) -> None:
    """Check letters, places and bases of windows.

    Args:
        where: file they lie in.
        rows: the windows [n].
        first: row of the first one in that file.
        manifest: of the dataset.
        genome: the genome they were cut from, where it lies beside them.
        findings: takes the defects.
    """
    findings.windows += len(rows)
    lengths = lengths_of(rows)
    behind = np.arange(rows["sequence"].shape[1]) >= lengths[:, None]

    def note(bad: NDArray[np.bool_], what: str) -> None:
        if bad.any():
            findings.add(f"{where}, row {first + int(np.argmax(bad)):,}", what, int(bad.sum()))

    note(
        ~(is_iupac(rows["sequence"]) | behind).all(axis=1),
        "letters that are no IUPAC nucleotide code",
    )
    note(lengths == 0, "no letter at all")
    note(
        lengths > manifest.window_length,
        f"more bases than the manifest's {manifest.window_length:,}",
    )
    contig = rows["contig"].astype(np.int64)
    known = contig < len(manifest.contigs)
    note(~known, f"a contig the manifest, which has {len(manifest.contigs):,}, does not list")
    contig = np.where(known, contig, 0)
    ends = np.array([c.length for c in manifest.contigs], dtype=np.int64)
    inside = known & (rows["start"] >= 0) & (rows["start"] + lengths <= ends[contig])
    note(known & ~inside, "a place beyond the ends of its contig")
    stranded = np.isin(rows["strand"], (-1, 1))
    note(~stranded, "a strand that is neither 1 nor -1")
    if genome is not None:
        note(
            _differs(rows, lengths, contig, inside & stranded & (lengths > 0), manifest, genome),
            "bases other than genome.fa's",
        )
        findings.compared += int((inside & stranded).sum())


def _differs(
    rows: Rows,
    lengths: NDArray[np.int64],
    contig: NDArray[np.int64],
    placed: NDArray[np.bool_],
    manifest: Manifest,
    genome: Genome,
) -> NDArray[np.bool_]:
    """Which windows [n] hold other bases than the genome where they say they lie, case apart."""
    differs = np.zeros(len(rows), dtype=bool)
    for index in np.unique(contig[placed]):
        name = manifest.contigs[index].name
        here = np.flatnonzero(placed & (contig == index))
        if genome.lengths.get(name) != manifest.contigs[index].length:
            differs[here] = True
            continue
        bases = genome.contig(name)
        for length in np.unique(lengths[here]):
            alike = here[lengths[here] == length]
            expected = sliding_window_view(bases, length)[rows["start"][alike]]
            turned = rows["strand"][alike] < 0
            expected[turned] = reverse_complement(expected[turned])
            found = rows["sequence"][alike, :length]
            differs[alike] = ((expected ^ found) & _UPPER).any(axis=1)
    return differs
