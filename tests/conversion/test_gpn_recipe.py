"""GPN's recipe, window by window, against marks on single bases: on small contigs and on a fly's.

The reference knows no interval arithmetic. It marks bases, looks for runs of marks, and follows
the steps of songlab-cal/gpn (analysis/gpn_animal_promoter, intervals "v6") in their order.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.sources.package import DROSOPHILA_CHR2R, DROSOPHILA_CHR2R_GENES
from glm_composer.conversion.windowings.promoters import Promoters, promoters
from glm_composer.data.shards import Shards
from glm_composer.settings import load

YAML = Path(__file__).parents[2] / "yamls/convert/gpn_recipe.yaml"


def runs(marks) -> list[tuple[int, int]]:
    """Maximal runs of marked bases, found base by base."""
    found, start = [], None
    for position, marked in enumerate([*marks, False]):
        if marked and start is None:
            start = position
        elif not marked and start is not None:
            found.append((start, position))
            start = None
    return found


def reference(text: str, genes: list[tuple[int, int, str]], half: int, width: int):
    """Windows as {start: bases} of genes (start, end, strand), promoters of `half` on each side.

    An interval may hang over the contig's end, never over its start.
    """
    promoter = np.zeros(len(text) + 4 * (half + width), dtype=bool)
    for start, end, strand in genes:
        first = start - half if strand == "+" else end - half
        promoter[max(0, first) : first + 2 * half] = True
    region = np.zeros_like(promoter)
    for start, end in runs(promoter):
        flank = -(-max(0, width - (end - start)) // 2)
        region[max(0, start - flank) : end + flank] = True
    known = np.array([base in "ACGTacgt" for base in text])
    windows = {}
    for start, end in runs(region[: len(text)] & known):
        while start + width <= end:
            bases = text[start : start + width]
            shown = promoter[start : start + width]
            windows[start] = "".join(
                base if inside else base.lower() for base, inside in zip(bases, shown, strict=True)
            )
            start += width
    return windows


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(20, 120),
    holes=st.lists(st.integers(0, 119), max_size=2),
    drawn=st.lists(
        st.tuples(st.integers(0, 119), st.integers(1, 60), st.sampled_from("+-")),
        min_size=1,
        max_size=4,
    ),
    half=st.integers(1, 9),
    width=st.integers(1, 25),
    seed=st.integers(0, 9),
)
def test_recipe_on_any_contig(size, holes, drawn, half, width, seed):
    rng = np.random.default_rng(seed)
    letters = rng.choice(list("ACGTacgt"), size)
    letters[[hole for hole in holes if hole < size]] = rng.choice(list("NnR"))
    text = "".join(letters)
    genes = [(s, min(s + n, size), strand) for s, n, strand in drawn if s < size]
    transcripts = [
        Transcript("c", start, end, 1 if strand == "+" else -1, "t", "t", True)
        for start, end, strand in genes
    ]
    asked = Promoters(length=width, upstream=half, downstream=half, move_edges=False)
    contig = Contig("c", np.frombuffer(text.encode(), np.uint8))
    cut = promoters(asked, ["test"])(contig, transcripts, "test")
    bases = cut.sequence.tobytes().decode()
    found = {int(start): bases[start : start + width] for start in cut.starts}
    assert found == reference(text, genes, half, width)


@pytest.mark.slow
def test_recipe_on_chr2r_through_the_command_s_road(debian, tmp_path):
    fasta, genes = debian(DROSOPHILA_CHR2R), debian(DROSOPHILA_CHR2R_GENES)
    text = "".join(fasta.read_text().split("\n")[1:])
    placed = []
    for piece, transcripts in read_genbank(genes):
        # Names count from base 2,000,000 of the chromosome; the bases prove it.
        first = 2_000_000 + int(piece.name.removeprefix("chr2R_").split("-")[0]) - 1
        bases = piece.sequence.tobytes().decode()
        assert bases == text[first : first + len(bases)].upper(), piece.name
        placed += [
            (t.start + first, t.end + first, "+" if t.strand > 0 else "-") for t in transcripts
        ]
    assert len(placed) == 586
    # Far enough for all of them; a loop over 21 million bases would take a minute for nothing.
    size = max(end for _, end, _ in placed) + 10_000
    expected = reference(text[:size], placed, 256, 512)
    out = convert(load(ConvertConfig, YAML, [f"out={tmp_path / 'out'}"]), progress=False)
    rows = Shards(out / "test").gather()
    found = {int(row["start"]): row["sequence"].tobytes().decode() for row in rows}
    assert len(found) == len(rows) == len(expected) > 500
    assert found == expected
    masked = np.concatenate([row["sequence"] for row in rows]) >= ord("a")
    assert 0 < masked.mean() < 0.5
