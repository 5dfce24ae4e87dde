"""Every SNV of clean coding genes whose consequence the genetic code alone decides.

Genome + coding segments -> start-lost, stop-gained and synonymous SNVs, all nine of every codon
at once. Other consequences (missense, stop lost or retained) are not listed. Digits 0..3 stand for
acgt and 4 for anything else; a codon is three digits in base 4.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars
from Bio.Data import CodonTable
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.conversion.annotation import Transcript
from glm_composer.errors import UserError

START_LOST, STOP_GAINED, SYNONYMOUS = range(3)
# Terms of the Sequence Ontology, by the numbers above.
CONSEQUENCES = ("start_lost", "stop_gained", "synonymous_variant")
_UNDECIDED = len(CONSEQUENCES)
_UNKNOWN = 4
_ATG = int("032", base=4)
_STOP = ord("*")

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Columns = dict[str, NDArray]  # equally long, one row an SNV


def coding_snvs(
    sequences: dict[str, Bytes], transcripts: Sequence[Transcript], genetic_code: int = 1
) -> tuple[polars.DataFrame, dict[str, int]]:
    """List the start-lost, stop-gained and synonymous SNVs of clean coding genes.

    A gene is clean if it has one coding segment of whole codons in acgt, from ATG to a stop,
    without a stop inside. Positions covered by another coding segment, on either strand, and those
    beside an unknown base or a contig's end are left out.

    Args:
        sequences: contig -> ASCII uint8 [length], case ignored.
        transcripts: all transcripts of these contigs, also unusable ones: they show where coding
            segments overlap. Those of other contigs only count as `other contig`.
        genetic_code: number of NCBI's translation table; the start codon is ATG in all of them.

    Returns:
        A frame of chrom (str), position (0-based), strand (+1, -1), gene (str), rank (of the gene
        along its chromosome and strand), codon_position (1, 2, 3), trinucleotide (0..63) and alt
        (0..3), both on the plus strand, consequence (index into CONSEQUENCES), sorted by chrom,
        position, alt; and the number of coding transcripts by fate (`used`, or why not), with
        `positions left out` of the used ones beside them.

    Raises:
        UserError: an unknown or undecided genetic code, a coding segment outside its contig.
    """
    amino_acids = _amino_acids(genetic_code)
    coding = [transcript for transcript in transcripts if transcript.cds]
    fates = Counter({"other contig": sum(t.contig not in sequences for t in coding)})
    parts = []
    for contig in sorted(sequences):
        here = [transcript for transcript in coding if transcript.contig == contig]
        digits = _digits(sequences[contig])
        clean = _clean(digits, here, contig)
        for strand in (1, -1):
            genes, segments = _single_segments([t for t in here if t.strand == strand], fates)
            ranks = {gene: rank for rank, gene in enumerate(dict.fromkeys(genes))}
            columns = _snvs(digits, clean, segments, strand, amino_acids, fates)
            segment = columns.pop("segment")
            parts.append(
                polars.DataFrame(columns).with_columns(
                    chrom=polars.lit(contig),
                    gene=polars.Series(genes, dtype=polars.String).gather(segment),
                    rank=np.array([ranks[gene] for gene in genes], dtype=np.int64)[segment],
                )
            )
    return polars.concat(parts).sort("chrom", "position", "alt"), dict(fates)


def _amino_acids(genetic_code: int) -> Bytes:
    """Return uint8 [64]: the letter that each codon stands for, `*` for a stop."""
    tables = CodonTable.unambiguous_dna_by_id
    if genetic_code not in tables:
        raise UserError(
            f"genetic_code = {genetic_code}: no such NCBI translation table; "
            f"valid: {', '.join(map(str, sorted(tables)))}"
        )
    table = tables[genetic_code]
    both = sorted({*table.stop_codons} & {*table.forward_table})
    if both:
        raise UserError(
            f"genetic_code = {genetic_code}: {', '.join(both)} are both stop and amino acid "
            "there, so no SNV to them has one consequence; choose another table"
        )
    codons = (a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT")
    return np.array([ord(table.forward_table.get(codon, "*")) for codon in codons], np.uint8)


def _digits(letters: Bytes) -> NDArray[np.int64]:
    ids = sequence.encode(letters).astype(np.int64)
    return np.where(ids >= sequence.FIRST_BASE, ids - sequence.FIRST_BASE, _UNKNOWN)


def _clean(digits: NDArray[np.int64], transcripts: list[Transcript], contig: str) -> Flags:
    """Return bool [length]: in one coding segment exactly, known, and between two known bases."""
    # Isoforms repeat segments; the same segment twice is no overlap.
    segments = {(*segment, t.strand): t for t in transcripts for segment in t.cds}
    for (start, end, _), transcript in segments.items():
        if not 0 <= start < end <= len(digits):
            raise UserError(
                f"transcript {transcript.name}: coding segment [{start}, {end}) does not lie in "
                f"{contig} of {len(digits)} bases; is the annotation of another assembly?"
            )
    steps = np.zeros(len(digits) + 1, dtype=np.int64)
    bounds = np.array([key[:2] for key in segments], dtype=np.int64).reshape(-1, 2)
    np.add.at(steps, bounds[:, 0], 1)
    np.add.at(steps, bounds[:, 1], -1)
    unknown = np.pad(digits == _UNKNOWN, 1, constant_values=True)
    surrounded = ~(unknown[:-2] | unknown[1:-1] | unknown[2:])
    return (np.cumsum(steps)[:-1] == 1) & surrounded


def _single_segments(
    transcripts: list[Transcript], fates: Counter[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Genes and [n, 2] (start, end) of the one coding segment, by position, each once."""
    segments: dict[tuple[int, int], str] = {}
    for transcript in sorted(transcripts, key=lambda t: (t.cds, t.gene, t.name)):
        if len(transcript.cds) > 1:
            fates["several coding segments"] += 1
        elif transcript.cds[0] in segments:
            fates["same coding segment as another"] += 1
        else:
            segments[transcript.cds[0]] = transcript.gene
    return list(segments.values()), np.array([*segments], dtype=np.int64).reshape(-1, 2)


def _snvs(
    digits: NDArray[np.int64],
    clean: Flags,
    segments: NDArray[np.int64],
    strand: int,
    amino_acids: Bytes,
    fates: Counter[str],
) -> Columns:
    """List the SNVs of one contig and strand; `segment` is a row of `segments` [n, 2]."""
    whole = (segments[:, 1] - segments[:, 0]) % 3 == 0
    fates["not whole codons"] += int((~whole).sum())
    segment, index, length, positions = _codons(segments, np.flatnonzero(whole), strand)
    bases = digits[positions]
    if strand < 0:
        bases = np.where(bases == _UNKNOWN, _UNKNOWN, 3 - bases)
    usable = _usable(segment, index, length, bases, amino_acids, fates)
    # The stop codon itself is left out: what happens to it is another consequence.
    keep = usable[segment] & (index < length - 1)
    segment, index, positions, bases = (
        column[keep] for column in (segment, index, positions, bases)
    )
    fates["positions left out"] += int((~clean[positions]).sum())

    place = np.array([16, 4, 1])
    codons = bases @ place
    alternatives = np.arange(4)
    # [codons, 3 positions, 4 alternatives]
    mutated = codons[:, None, None] + (alternatives - bases[..., None]) * place[:, None]
    after, before = amino_acids[mutated], amino_acids[codons][:, None, None]
    consequence = np.select(
        [(index == 0)[:, None, None], after == _STOP, after == before],
        [START_LOST, STOP_GAINED, SYNONYMOUS],
        _UNDECIDED,
    )
    wanted = (consequence != _UNDECIDED) & (alternatives != bases[..., None])
    codon, within, alt = np.nonzero(wanted & clean[positions][..., None])
    position = positions[codon, within]
    around = digits[position[:, None] + np.array([-1, 0, 1])]
    return {
        "position": position,
        "strand": np.full(len(position), strand, dtype=np.int8),
        "segment": segment[codon],
        "codon_position": within + 1,
        "trinucleotide": around @ place,
        "alt": alt if strand > 0 else 3 - alt,
        "consequence": consequence[codon, within, alt],
    }


def _codons(
    segments: NDArray[np.int64], chosen: NDArray[np.int64], strand: int
) -> tuple[NDArray[np.int64], ...]:
    """Segment, number in it, its length in codons [c]; positions [c, 3] in reading order."""
    starts, ends = segments[chosen].T
    lengths = (ends - starts) // 3
    length = np.repeat(lengths, lengths)
    index = np.arange(length.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    origin = np.repeat(starts if strand > 0 else ends - 1, lengths)
    positions = origin[:, None] + strand * (3 * index[:, None] + np.arange(3))
    return np.repeat(chosen, lengths), index, length, positions


def _usable(
    segment: NDArray[np.int64],
    index: NDArray[np.int64],
    length: NDArray[np.int64],
    bases: NDArray[np.int64],
    amino_acids: Bytes,
    fates: Counter[str],
) -> Flags:
    """Return bool [segments]; a gene with several faults counts under the first."""
    unknown = (bases == _UNKNOWN).any(axis=1)
    codons = np.where(unknown, 0, bases @ np.array([16, 4, 1]))
    stop = amino_acids[codons] == _STOP
    last = index == length - 1
    faults = {
        "base outside acgt": unknown,
        "no ATG at the start": (index == 0) & (codons != _ATG),
        "no stop at the end": last & ~stop,
        "stop inside": stop & ~last,
    }
    usable = np.zeros(segment.max(initial=-1) + 1, dtype=bool)
    usable[segment] = True
    for fault, where in faults.items():
        faulty = np.unique(segment[where])
        fates[fault] += int(usable[faulty].sum())
        usable[faulty] = False
    fates["used"] += int(usable.sum())
    return usable
