"""The card of a derived variant table: what its labels mean, how they came about, and how not."""

from dataclasses import dataclass

import numpy as np
import polars

from glm_composer.conversion.coding_snvs import CONSEQUENCES


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How a table came about: its parameters, and what was kept and dropped on the way.

    Attributes:
        seed: of every random choice.
        controls: to a positive.
        maximum_positives: in the whole table; None, no limit.
        balanced: whether a gene gives one positive of each consequence, rather than one.
        genetic_code: number of NCBI's translation table.
        transcripts: coding transcripts by fate: `used`, or why not.
        positions_left_out: coding positions of used genes that another coding segment covers, or
            that lie beside an unknown base.
        candidates: SNVs by consequence before any choice.
        unmatched: positives by consequence, drawn and dropped for want of unused controls.
        same_gene: controls that come from their positive's own gene.
        codon_positions: SNVs of the table at codon positions 1, 2 and 3, by label.
    """

    seed: int
    controls: int
    maximum_positives: int | None
    balanced: bool
    genetic_code: int
    transcripts: dict[str, int]
    positions_left_out: int
    candidates: dict[str, int]
    unmatched: dict[str, int]
    same_gene: int
    codon_positions: dict[bool, list[int]]


def card(table: polars.DataFrame, statistics: Statistics, *, genome: str = "") -> str:
    """Describe a derived table in Markdown.

    Args:
        table: what `derive` returned, or a table like it.
        statistics: what it returned beside it.
        genome: name of the assembly, for the title.
    """
    positives, rows = int(table["label"].sum()), len(table)
    third = {label: at[2] / sum(at) for label, at in statistics.codon_positions.items()}
    title = f"# Derived coding variants{f' of {genome}' if genome else ''}"
    limit = statistics.maximum_positives
    return f"""{title}

**The labels are derived, not clinical.** Nobody observed what these variants do. A positive is an
SNV that, by the genetic code, loses a start codon or gains a stop codon; a control is a synonymous
SNV. The table asks whether a model prefers a sequence that keeps a gene's reading frame whole, not
whether it knows a disease.

{rows:,} SNVs: {positives:,} positives and {rows - positives:,} controls, base rate \
{positives / rows:.4f}.

{_counts(table)}
## How it was derived

- NCBI translation table {statistics.genetic_code}, seed {statistics.seed}, {statistics.controls} \
controls to a positive, {f"at most {limit:,}" if limit else "no limit on"} positives.
- Clean genes only: one coding segment of whole codons in acgt, from ATG to a stop, no stop inside.
- Positions covered by another coding segment, or beside an unknown base, are left out: \
{statistics.positions_left_out:,}.
- A gene gives at most one {"SNV of each consequence" if statistics.balanced else "positive"}, \
drawn among those that can be matched, so that
  long genes do not fill the table.
- Controls have the same plus-strand trinucleotide and alternative base as their positive, and lie
  on the same chromosome and strand: in the same gene first ({statistics.same_gene:,} of \
{rows - positives:,}),
  else in the nearest genes. None is used twice.
- Positives drawn and dropped because too few controls were left: \
{listed(statistics.unmatched)}.
  Some never can be matched: no synonymous SNV turns ATG into AAG or AGG at its middle base.

Coding transcripts by fate: {listed(statistics.transcripts)}.
Candidate SNVs before any choice: {listed(statistics.candidates)}.

## Read before believing a score

- Synonymous SNVs gather at third codon positions ({third[False]:.0%} of the controls, \
{third[True]:.0%} of the positives).
  Whoever knows the reading frame and nothing else ranks second before first before third positions
  and gets an AUPRC of {_frame_auprc(statistics):.3f}: to find the frame is most of what this asks.
- Every start-lost and stop-gained SNV counts alike: a stop gained in the last codons of a gene may
  do no harm, a later ATG may rescue a lost start, and a synonymous SNV is not always neutral.
- Matching holds for one neighbour on either side. Wider tables of neighbours already beat the base
  rate: compare a model with them, not with the base rate alone.
- Copies of a gene elsewhere in the genome are not looked for: training may have shown them.
"""


def _counts(table: polars.DataFrame) -> str:
    lines = [f"| chromosome | genes | {' | '.join(CONSEQUENCES)} |\n", f"|---{'|---:' * 4}|\n"]
    for (chrom,), part in table.group_by("chrom", maintain_order=True):
        counts = [int((part["consequence"] == term).sum()) for term in CONSEQUENCES]
        cells = [str(chrom), *(f"{count:,}" for count in (part["gene"].n_unique(), *counts))]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _frame_auprc(statistics: Statistics) -> float:
    """Average precision of the ranking by codon position 2, 1, 3, ties within each."""
    order = np.array([1, 0, 2])
    positives, controls = (np.array(statistics.codon_positions[k])[order] for k in (True, False))
    precision = np.cumsum(positives) / np.maximum(np.cumsum(positives + controls), 1)
    return float((precision * positives).sum() / positives.sum())


def listed(counts: dict[str, int]) -> str:
    """Write counts in one line, leaving out those that are zero."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"
