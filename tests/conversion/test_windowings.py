"""tiles and promoters against loops over positions, on a made contig and on yeast."""

import numpy as np
import pytest

from glm_composer.conversion import features
from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.windowings.promoters import Promoters, promoters
from glm_composer.conversion.windowings.tiles import Tiles, tiles
from glm_composer.errors import UserError
from glm_composer.registry import windowings

LENGTH = 8


def contig(text: str, start: int = 0) -> Contig:
    return Contig("c", np.frombuffer(text.encode(), np.uint8), start)


def transcript(tss: int, strand: int, coding: bool = True) -> Transcript:
    start, end = (tss, tss + 50) if strand > 0 else (tss - 49, tss + 1)
    return Transcript("c", start, end, strand, "t", "t", coding)


def test_both_are_registered_with_their_settings():
    assert {"tiles", "promoters"} <= set(windowings.names())
    assert windowings.settings("tiles") is Tiles
    assert windowings.settings("promoters") is Promoters


def test_tiles_equal_a_loop_for_every_share_of_unknown_bases():
    rng = np.random.default_rng(3)
    text = "".join(rng.choice(list("ACGTacgtNnRy"), 300))
    for share in (0.0, 0.25, 0.5, 1.0):
        settings = Tiles(length=LENGTH, stride=3, max_unknown=share)
        cut = tiles(settings, ["train"])(contig(text), [], "train")
        expected = [
            s
            for s in range(0, 300 - LENGTH + 1, 3)
            if sum(c not in "ACGTacgt" for c in text[s : s + LENGTH]) <= share * LENGTH
        ]
        assert cut.starts.tolist() == expected
        assert cut.sequence.tobytes().decode() == text


def test_tiles_stride_by_split():
    windowing = tiles(Tiles(length=4, stride={"train": 2, "test": 4}), ["train", "test"])
    assert windowing(contig("ACGTACGTA"), [], "train").starts.tolist() == [0, 2, 4]
    assert windowing(contig("ACGTACGTA"), [], "test").starts.tolist() == [0, 4]
    assert windowing(contig("ACG"), [], "test").starts.tolist() == []
    with pytest.raises(UserError, match=r"'windows.stride' names trian, but the splits are train"):
        tiles(Tiles(length=4, stride={"trian": 2}), ["train"])


def test_promoter_intervals_mirror_on_the_minus_strand():
    intervals = features.promoters([transcript(100, 1), transcript(100, -1)], 5, 3)
    # Plus: 95..102, the TSS sixth. Minus: 98..105; read backwards the TSS is sixth as well.
    assert intervals.tolist() == [[95, 103], [98, 106]]


def test_promoters_by_hand():
    text = "ACGTACGTAC" * 6
    masked = text[:20] + text[20:24].lower() + text[24:]
    with_gap = masked[:45] + "NN" + masked[47:]
    windowing = promoters(Promoters(length=8, upstream=6, downstream=6), ["train"])
    cut = windowing(
        contig(with_gap), [transcript(20, 1), transcript(45, -1), transcript(5, 1, False)], "train"
    )
    # [14, 26): one window. [40, 52) minus the gap [45, 47): 5 and 5 bases, no full window.
    assert cut.starts.tolist() == [14]
    inside = set(range(14, 26)) | set(range(40, 52))
    expected = "".join(c if i in inside else c.lower() for i, c in enumerate(with_gap))
    assert cut.sequence.tobytes().decode() == expected
    assert with_gap[20:24].islower(), "the genome's own mask stays"


def test_promoters_at_an_edge_are_widened_inside_the_contig_and_masked_there():
    windowing = promoters(Promoters(length=8, upstream=6, downstream=2), ["train"])
    cut = windowing(contig("ACGTACGTACGT"), [transcript(1, 1)], "train")
    assert cut.starts.tolist() == [0]
    assert cut.sequence.tobytes() == b"ACGtacgtacgt"


def test_promoters_of_a_piece_keep_genome_positions():
    windowing = promoters(Promoters(length=8, upstream=4, downstream=4), ["train"])
    cut = windowing(contig("ACGTACGTACGTACGT", start=1000), [transcript(1006, 1)], "train")
    assert cut.starts.tolist() == [2]


def test_promoters_of_yeast_are_full_disjoint_and_near_a_tss(yeast_zip):
    chromosome, transcripts = next(iter(read_genbank(yeast_zip)))
    cut = promoters(Promoters(), ["train"])(chromosome, transcripts, "train")
    assert len(cut.starts) > 50
    assert (np.diff(cut.starts) >= 512).all()
    assert cut.starts[-1] + 512 <= len(chromosome.sequence)
    # Brute force: a base keeps its case exactly if a coding TSS is close enough on its strand.
    near = np.zeros(len(chromosome.sequence), dtype=bool)
    for t in transcripts:
        if t.coding:
            first = t.start - 256 if t.strand > 0 else t.end - 256
            near[max(0, first) : first + 512] = True
    assert ((cut.sequence < ord("a")) == near).all()
    assert ((cut.sequence & 0xDF) == chromosome.sequence).all()


def test_a_promoter_needs_a_width():
    with pytest.raises(ValueError, match="both 0"):
        Promoters(upstream=0, downstream=0)
