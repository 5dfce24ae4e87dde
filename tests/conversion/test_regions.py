"""Windows over exons, CDS, UTRs and background, against marks on single bases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.conversion import features
from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.fasta import read_fasta
from glm_composer.conversion.gff import read_gtf
from glm_composer.conversion.randomness import generator, stable_hash
from glm_composer.conversion.sources.package import DROSOPHILA_CHR2R
from glm_composer.conversion.windowings.background import Background, background
from glm_composer.conversion.windowings.cds import Cds, cds
from glm_composer.conversion.windowings.exons import Exons, exons
from glm_composer.conversion.windowings.ready import Ready, ready
from glm_composer.conversion.windowings.tiles import Tiles, tiles
from glm_composer.conversion.windowings.utrs import Utrs, utrs
from glm_composer.errors import UserError

# Human alpha globins: refGene's transcripts on 210,155 soft-masked bases.
HG38 = replace(
    DROSOPHILA_CHR2R,
    member="usr/share/doc/augustus/tutorial-cgp/data/genomes/hg38.fa",
    member_sha256="b391dd0ef768bfbfae787ce9fd947e9d380e37d7b2817579042bc543a6d31c7a",
)
REFGENE = replace(
    HG38,
    member="usr/share/doc/augustus/tutorial-cgp/data/refseq/refseq.hg38.gtf",
    member_sha256="321ce5952b972b71a9f20884264df89bc6267111498a1e8e30cfb37770f6c49c",
)
SIZE = 90


@st.composite
def transcripts(draw) -> list[Transcript]:
    """Transcripts with up to three exons, coding from somewhere to somewhere, or not at all."""
    found = []
    for number in range(draw(st.integers(0, 4))):
        edges = sorted(draw(st.sets(st.integers(0, SIZE), min_size=2, max_size=6)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        coding = draw(st.booleans())
        first, last = sorted(draw(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))))
        segments = tuple(
            (max(s, first), min(e, last)) for s, e in pairs if max(s, first) < min(e, last)
        )
        found.append(
            Transcript(
                "c", pairs[0][0], pairs[-1][1], draw(st.sampled_from([1, -1])),
                f"t{number}", "g", coding, tuple(pairs), segments if coding else (),
            )
        )  # fmt: skip
    return found


def mark(intervals, size: int) -> np.ndarray:
    marks = np.zeros(size, dtype=bool)
    for start, end in intervals:
        marks[max(0, start) : max(0, end)] = True
    return marks


def naive(kind: str, found: list[Transcript], flank: int, size: int) -> np.ndarray:
    """Marked bases of a feature, widened by `flank`; a UTR is what no CDS holds."""
    if kind == "cds":
        return mark([(s - flank, e + flank) for t in found for s, e in t.cds], size)
    coding = [t for t in found if t.coding or kind == "exons"]
    marks = mark([(s - flank, e + flank) for t in coding for s, e in t.exons], size)
    return marks & ~naive("cds", found, 0, size) if kind == "utrs" else marks


def naive_starts(marks, known, width: int, minimum: int) -> list[int]:
    """Starts of the windows, run by run; an interval is widened inside the contig."""
    size = len(marks)
    region = np.zeros(size, dtype=bool)
    for run in runs(marks):
        if len(run) < minimum:
            continue
        start, end = run[0], run[-1] + 1
        while end - start < min(width, size):
            # One base on the right, one on the left: what is missing in odd number goes right.
            if end < size:
                end += 1
            elif start > 0:
                start -= 1
            if end - start < min(width, size):
                if start > 0:
                    start -= 1
                elif end < size:
                    end += 1
        region[start:end] = True
    starts = []
    for run in runs(region & known):
        starts += list(range(run[0], run[-1] + 2 - width, width))
    return starts


def runs(marks) -> list[list[int]]:
    found: list[list[int]] = []
    for position in np.flatnonzero(marks):
        if found and found[-1][-1] == position - 1:
            found[-1].append(int(position))
        else:
            found.append([int(position)])
    return found


BUILDERS = {"exons": (Exons, exons), "cds": (Cds, cds), "utrs": (Utrs, utrs)}


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(BUILDERS)),
    found=transcripts(),
    text=st.text("ACGTacgtACGTacgtN", min_size=SIZE, max_size=SIZE),
    flank=st.integers(0, 6),
    width=st.integers(1, 40),
    minimum=st.integers(1, 12),
    mask=st.booleans(),
)
def test_windows_equal_marked_bases(kind, found, text, flank, width, minimum, mask):
    schema, build = BUILDERS[kind]
    asked = schema(length=width, flank=flank, minimum=minimum, mask_outside=mask)
    sequence = np.frombuffer(text.encode(), np.uint8)
    cut = build(asked, ["train"])(Contig("c", sequence), found, "train")
    marks = naive(kind, found, flank, SIZE)
    # Shorter intervals count for neither windows nor mask. Beyond the contig they count.
    wide = naive_run_lengths(kind, found, flank)
    kept = marks & mark([run for run in wide if run[1] - run[0] >= minimum], SIZE)
    known = np.array([base in "ACGTacgt" for base in text])
    assert cut.starts.tolist() == naive_starts(kept, known, width, 1)
    shown = "".join(b if k or not mask else b.lower() for b, k in zip(text, kept, strict=True))
    assert cut.sequence.tobytes().decode() == shown


def naive_run_lengths(kind, found, flank) -> list[tuple[int, int]]:
    """Intervals as on a contig without ends."""
    far = 50
    moved = [
        replace(
            t,
            exons=tuple((s + far, e + far) for s, e in t.exons),
            cds=tuple((s + far, e + far) for s, e in t.cds),
        )
        for t in found
    ]
    marks = naive(kind, moved, flank, SIZE + 2 * far)
    return [(run[0] - far, run[-1] + 1 - far) for run in runs(marks)]


@settings(max_examples=100, deadline=None)
@given(found=transcripts(), jitter=st.integers(1, 9), seed=st.integers(0, 3))
def test_jitter_moves_intervals_whole_and_alike_everywhere(found, jitter, seed):
    sequence = np.frombuffer(b"A" * SIZE, np.uint8)
    asked = Exons(length=5, jitter=jitter, seed=seed)
    cut = exons(asked, ["train"])(Contig("c", sequence), found, "train")
    before = runs(naive("exons", found, 0, SIZE))
    by = generator(seed, "jitter", "c").integers(-jitter, jitter, len(before), endpoint=True)
    assert (np.abs(by) <= jitter).all()
    moved = [(run[0] + int(b), run[-1] + 1 + int(b)) for run, b in zip(before, by, strict=True)]
    upper = cut.sequence == ord("A")
    assert (upper == mark(moved, SIZE)).all()
    # A contig in pieces is cut as the whole one is.
    pieces = [
        exons(asked, ["train"])(Contig("c", sequence[s:e], s), found, "train")
        for s, e in ((0, 40), (40, SIZE))
    ]
    assert (np.concatenate([piece.sequence for piece in pieces]) == cut.sequence).all()


def test_tiles_jitter_stays_inside_and_depends_on_names_only():
    contig = Contig("c", np.frombuffer(b"ACGT" * 500, np.uint8))
    windowing = tiles(Tiles(length=16, stride=16, jitter=5), ["train"])
    starts = windowing(contig, [], "train").starts
    assert (windowing(contig, [], "train").starts == starts).all()
    assert (np.diff(starts) >= 0).all()
    assert starts.min() >= 0
    assert starts.max() <= 2000 - 16
    moved = starts - 16 * np.arange(len(starts))
    assert np.abs(moved).max() <= 5 < len(set(moved.tolist()))
    assert (windowing(replace(contig, name="d"), [], "train").starts != starts).any()
    assert windowing(Contig("c", contig.sequence[:9]), [], "train").starts.tolist() == []


@settings(max_examples=150, deadline=None)
@given(
    found=transcripts(),
    holes=st.lists(st.integers(0, SIZE - 1), max_size=2),
    flank=st.integers(0, 6),
    width=st.integers(1, 9),
    avoid=st.lists(
        st.sampled_from(["exons", "cds", "utrs", "transcripts"]), min_size=1, unique=True
    ),
    cut_at=st.integers(1, SIZE - 1),
)
def test_background_touches_nothing_and_misses_little(found, holes, flank, width, avoid, cut_at):
    sequence = np.full(SIZE, ord("a"), dtype=np.uint8)
    sequence[holes] = ord("N")
    taken = sequence == ord("N")
    for kind in avoid:
        held = [(t.start, t.end) for t in found]
        if kind != "transcripts":
            held = naive_run_lengths(kind, found, 0)
        taken |= mark([(s - flank, e + flank) for s, e in held], SIZE)
    cut = background(Background(length=width, flank=flank, share=1.0, avoid=avoid), ["train"])
    # Whole, and in two pieces, which know their place.
    for first, last in ((0, SIZE), (0, cut_at), (cut_at, SIZE)):
        piece = Contig("c", sequence[first:last], first)
        starts = cut(piece, found, "train").starts
        for start in starts + first:
            assert first <= start <= last - width
            assert not taken[start : start + width].any()
        assert (np.diff(starts) >= width).all()
        # What the random offset costs is one window a stretch at most.
        fit = [len(run) // width for run in runs(~taken[first:last])]
        assert sum(max(0, each - 1) for each in fit) <= len(starts) <= sum(fit)
        assert (cut(piece, found, "train").starts == starts).all()


def test_background_is_spread_and_differs_by_seed_and_contig():
    contig = Contig("c", np.frombuffer(b"ACGT" * 25_000, np.uint8))
    drawn = [
        background(Background(length=100, share=0.2, seed=seed), ["train"])(
            replace(contig, name=name), [], "train"
        ).starts
        for seed, name in ((0, "c"), (1, "c"), (0, "d"))
    ]
    for starts in drawn:
        assert len(starts) in (199, 200)
        # A fifth of the windows in each fifth of the contig, give or take.
        assert (np.histogram(starts, 5, (0, 100_000))[0] > 20).all()
    assert len({tuple(starts) for starts in drawn}) == 3


def test_feature_intervals_by_hand():
    coding = Transcript("c", 10, 50, 1, "t", "g", True, ((10, 20), (30, 50)), ((15, 20), (30, 40)))
    other = Transcript("c", 45, 60, -1, "u", "h", False, ((45, 60),))
    assert features.utrs([coding, other]).tolist() == [[10, 15], [40, 50]]
    assert features.whole([other]).tolist() == [[45, 60]]
    assert features.exons([]).shape == features.cds([other]).shape == (0, 2)
    assert features.coding([coding, other]) == [coding]
    assert features.promoters([coding, other], 5, 2).tolist() == [[5, 12], [58, 65]]


def test_exons_of_coding_transcripts_only():
    coding = Transcript("c", 0, 8, 1, "t", "g", True, ((0, 8),), ((0, 8),))
    other = Transcript("c", 16, 24, -1, "u", "h", False, ((16, 24),))
    contig = Contig("c", np.frombuffer(b"ACGT" * 8, np.uint8))
    for only, expected in ((False, [0, 16]), (True, [0])):
        cut = exons(Exons(length=8, coding_only=only), ["train"])(contig, [coding, other], "train")
        assert cut.starts.tolist() == expected


def test_hashes_are_the_same_for_ever():
    assert stable_hash(0, "split", "hg38", "chr1") == 3_261_252_679_925_822_781
    assert stable_hash("ab", "c") != stable_hash("a", "bc")


def test_ready_windows_are_not_cut():
    cut = ready(Ready(length=4), ["train"])
    with pytest.raises(
        UserError, match=r"'windows.name' is 'ready', but the source gives contigs"
    ):
        cut(Contig("c", np.frombuffer(b"ACGT", np.uint8)), [], "train")


@pytest.mark.parametrize("kind", list(BUILDERS))
def test_human_globins_are_cut_as_marked_bases_say(kind, debian):
    fasta, gtf = debian(HG38), debian(REFGENE)
    (contig,) = read_fasta(fasta)
    found = read_gtf(gtf, {contig.name: len(contig.sequence)})
    assert len(found) > 12
    schema, build = BUILDERS[kind]
    cut = build(schema(length=128, flank=17, minimum=30), ["train"])(contig, found, "train")
    size = len(contig.sequence)
    marks = naive(kind, found, 17, size)
    long = mark([(run[0], run[-1] + 1) for run in runs(marks) if len(run) >= 30], size)
    known = np.isin(contig.sequence, list(b"ACGTacgt"))
    assert cut.starts.tolist() == naive_starts(long, known, 128, 1) != []
    assert ((cut.sequence < ord("a")) == (contig.sequence < ord("a")) & long).all()
