"""A labelled variant table out of nothing but a genome, its genes and the genetic code.

Positives are SNVs that lose the start codon or gain a stop codon; controls are synonymous SNVs,
several to a positive, matched on what a table of neighbouring bases could exploit: the plus-strand
trinucleotide around the variant and the alternative base. The labels are **derived**, not
clinical, and `card` says so. Columns are TraitGym's: whatever scores one scores the other.

Which positives: every gene gives one, drawn among all its start-lost and stop-gained SNVs, so that
long genes do not fill the table. Some 95 of 100 are then stop-gained, as among all such SNVs;
`balanced` makes it one of each. Which controls: those of the same gene first, then of the nearest
genes of the same chromosome and strand, in order along it; none is used twice.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars
from numpy.typing import NDArray

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.coding_card import Statistics, card, listed
from glm_composer.conversion.coding_snvs import CONSEQUENCES, SYNONYMOUS, coding_snvs
from glm_composer.errors import UserError

__all__ = ["Statistics", "card", "coding_variants", "derive"]

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]


def coding_variants(
    sequences: dict[str, Bytes],
    transcripts: Sequence[Transcript],
    *,
    seed: int = 0,
    controls: int = 9,
    maximum_positives: int | None = None,
) -> polars.DataFrame:
    """Derive a labelled variant table: `derive` with its other defaults, without statistics."""
    table, _ = derive(
        sequences,
        transcripts,
        seed=seed,
        controls=controls,
        maximum_positives=maximum_positives,
    )
    return table


def derive(
    sequences: dict[str, Bytes],
    transcripts: Sequence[Transcript],
    *,
    seed: int = 0,
    controls: int = 9,
    maximum_positives: int | None = None,
    balanced: bool = False,
    genetic_code: int = 1,
) -> tuple[polars.DataFrame, Statistics]:
    """Derive a labelled variant table, and tell how it came about.

    Args:
        sequences: contig -> ASCII uint8 [length]; variants are derived on these contigs only.
        transcripts: all transcripts of these contigs; `coding_snvs` says which are usable.
        seed: of every random choice; the same seed gives the same table.
        controls: how many to every positive.
        maximum_positives: over all contigs, None to take all that can be matched. Genes are drawn
            alike, so a contig's share is about its share of genes.
        balanced: take one start-lost and one stop-gained SNV of every gene, rather than one SNV
            among both.
        genetic_code: number of NCBI's translation table.

    Returns:
        The table, sorted by chrom, pos, alt: chrom (str), pos (1-based), ref and alt (plus strand,
        upper case), label (bool, true for a positive), consequence (Sequence Ontology),
        match_group (number shared by a positive and its controls, by position of the positive),
        gene, strand (`+` or `-`); and its statistics.

    Raises:
        UserError: no positive could be matched, or what `coding_snvs` raises.
        ValueError: `controls` or `maximum_positives` below one.
    """
    if controls < 1 or (maximum_positives is not None and maximum_positives < 1):
        raise ValueError("controls and maximum_positives must be at least one")
    snvs, fates = coding_snvs(sequences, transcripts, genetic_code)
    positions_left_out = fates.pop("positions left out", 0)
    rng = np.random.default_rng(seed)
    groups, unmatched = _match(snvs, rng, controls, maximum_positives, balanced)
    if not len(groups):
        raise UserError(
            f"contigs {', '.join(sorted(sequences))}: no start-lost or stop-gained SNV has "
            f"{controls} synonymous controls of its context (coding transcripts by fate: "
            f"{listed(fates)}); take more contigs or fewer controls"
        )
    chosen = snvs[groups.ravel()].with_columns(
        label=np.arange(groups.size) % groups.shape[1] == 0,
        match_group=np.arange(groups.size) // groups.shape[1],
    )
    gene = snvs["rank"].to_numpy()[groups]
    statistics = Statistics(
        seed=seed,
        controls=controls,
        maximum_positives=maximum_positives,
        balanced=balanced,
        genetic_code=genetic_code,
        transcripts=fates,
        positions_left_out=positions_left_out,
        candidates=_tally(snvs["consequence"].to_numpy()),
        unmatched=_tally(unmatched),
        same_gene=int((gene[:, 1:] == gene[:, :1]).sum()),
        codon_positions={
            label: np.bincount(part["codon_position"], minlength=4)[1:].tolist()
            for (label,), part in chosen.group_by("label")
        },
    )
    return _table(chosen), statistics


def _match(
    snvs: polars.DataFrame,
    rng: np.random.Generator,
    controls: int,
    maximum: int | None,
    balanced: bool,
) -> tuple[Indices, Indices]:
    """Draw positives and give each its controls.

    Returns:
        Rows of `snvs` [positives, 1 + controls], the positive first, in the order of `snvs`; and
        the consequences of the positives that were dropped, [dropped].
    """
    consequence, rank = snvs["consequence"].to_numpy(), snvs["rank"].to_numpy()
    chrom, strand = snvs["chrom"].rank("dense").to_numpy(), snvs["strand"].to_numpy()
    side = chrom.astype(np.int64) * 2 + (strand > 0)
    stratum = (side * 64 + snvs["trinucleotide"].to_numpy()) * 4 + snvs["alt"].to_numpy()

    pool = rng.permutation(np.flatnonzero(consequence == SYNONYMOUS))
    pool = pool[np.argsort(stratum[pool], kind="stable")]  # shuffled within a stratum
    bounds = np.searchsorted(stratum[pool], np.arange(stratum.max(initial=0) + 2))
    unused = np.ones(len(pool), dtype=bool)

    groups: list[list[int]] = []
    dropped: list[int] = []
    served: set[int] = set()
    positives = np.flatnonzero(consequence != SYNONYMOUS)
    turns = np.stack([side, rank, consequence * balanced])
    for row, turn in _draw(positives, turns[:, positives], rng):
        if turn in served:
            continue
        if len(groups) == maximum:
            break
        places = np.arange(bounds[stratum[row]], bounds[stratum[row] + 1])
        places = places[unused[places]]
        if len(places) < controls:
            dropped.append(consequence[row])
            continue
        distance = np.abs(rank[pool[places]] - rank[row])
        places = places[np.argsort(distance, kind="stable")[:controls]]
        unused[places] = False
        served.add(turn)
        groups.append([row, *pool[places]])
    groups.sort()
    return np.array(groups, np.int64).reshape(-1, 1 + controls), np.array(dropped, np.int64)


def _draw(rows: Indices, keys: Indices, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield (row, turn): rows of equal keys [k, rows] one after another, all else at random."""
    _, turn = np.unique(keys, axis=1, return_inverse=True)
    turn = rng.permutation(turn.max(initial=-1) + 1)[turn.ravel()]
    order = np.lexsort((rng.random(len(rows)), turn))
    return zip(rows[order].tolist(), turn[order].tolist(), strict=True)


def _table(chosen: polars.DataFrame) -> polars.DataFrame:
    letters = polars.Series(list("ACGT"))
    return chosen.select(
        "chrom",
        pos=polars.col("position") + 1,
        ref=letters.gather(chosen["trinucleotide"] // 4 % 4),
        alt=letters.gather(chosen["alt"]),
        label="label",
        consequence=polars.Series(CONSEQUENCES).gather(chosen["consequence"]),
        match_group="match_group",
        gene="gene",
        strand=polars.when(polars.col("strand") > 0)
        .then(polars.lit("+"))
        .otherwise(polars.lit("-")),
    ).sort("chrom", "pos", "alt")


def _tally(consequences: Indices) -> dict[str, int]:
    counts = np.bincount(consequences, minlength=len(CONSEQUENCES))
    return dict(zip(CONSEQUENCES, counts.tolist(), strict=True))
