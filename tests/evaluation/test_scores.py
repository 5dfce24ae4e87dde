import numpy as np
import pytest
import torch

from glm_composer import sequence
from glm_composer.evaluation.scores import llr
from glm_composer.evaluation.variants import allele_ids, read_variants
from glm_composer.genome import Genome
from glm_composer.sequence import FIRST_BASE, MASK, A, C, G, T

COMPLEMENT = {A: T, T: A, C: G, G: C}


class TinyModel:
    """Two convolutions with uneven padding, reading 4 bases either side: symmetric in nothing."""

    def __init__(self, channels: int = 8):
        generator = torch.Generator().manual_seed(0)

        def random(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.embedding = random(7, channels)
        self.first = random(channels, channels, 6)
        self.second = random(4, channels, 4)
        self.seen: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []

    def __call__(self, ids, positions):
        self.seen.append(ids.copy())
        self.positions.append(positions.copy())
        x = self.embedding[torch.from_numpy(ids.astype(np.int64))].transpose(1, 2)
        x = torch.tanh(torch.nn.functional.conv1d(torch.nn.functional.pad(x, (4, 1)), self.first))
        x = torch.nn.functional.conv1d(torch.nn.functional.pad(x, (0, 3)), self.second)
        rows = torch.arange(len(ids))
        return x[rows, :, torch.from_numpy(positions)].numpy().astype(np.float32)


def naive_llr(window: str, ref: int, alt: int, strands: str) -> float:
    """One variant at a time, on strings, straight from the definition."""
    model = TinyModel()
    scores = []
    for strand in ("forward", "reverse") if strands == "both" else ("forward",):
        letters = window.upper()
        centre, r, a = len(letters) // 2, ref, alt
        if strand == "reverse":
            letters = letters.translate(str.maketrans("ACGT", "TGCA"))[::-1]
            centre, r, a = len(letters) - 1 - centre, COMPLEMENT[ref], COMPLEMENT[alt]
        ids = np.array([["ACGT".find(x) + 3 if x in "ACGT" else 2 for x in letters]], np.uint8)
        ids[0, centre] = MASK
        logits = model(ids, np.array([centre]))[0]
        scores.append(logits[a - 3] - logits[r - 3])
    return float(np.mean(scores))


def random_variants(n: int, width: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    windows = rng.choice(np.frombuffer(b"ACGTacgtN", np.uint8), size=(n, width))
    ref = rng.integers(FIRST_BASE, FIRST_BASE + 4, n).astype(np.uint8)
    alt = (FIRST_BASE + (ref - FIRST_BASE + rng.integers(1, 4, n)) % 4).astype(np.uint8)
    windows[:, width // 2] = sequence.decode(ref)
    return windows, ref, alt


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("width", [1, 2, 20, 21])
def test_llr_equals_the_naive_one(width, strands):
    windows, ref, alt = random_variants(13, width)
    found = llr(TinyModel(), windows, ref, alt, strands=strands, batch_size=5)
    expected = [
        naive_llr(bytes(w).decode(), int(r), int(a), strands)
        for w, r, a in zip(windows, ref, alt, strict=True)
    ]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_llr_by_hand():
    # A model that answers with the base left of the position: a=0 c=1 g=2 t=3 times 10, plus 0..3.
    def predict(ids, positions):
        left = ids[np.arange(len(ids)), positions - 1].astype(np.float32) - FIRST_BASE
        return left[:, None] * np.arange(4, dtype=np.float32)

    windows = sequence.as_ascii("GTCA").reshape(1, 4)  # C at index 2; reverse complement TGAC
    ref, alt = np.array([C], np.uint8), np.array([G], np.uint8)
    # Forward: T=3 to the left, 3*2 - 3*1 = 3. Reverse: index 1 (G>C), T=3 to the left, 3*1 - 3*2.
    assert llr(predict, windows, ref, alt, strands="forward", batch_size=1).tolist() == [3.0]
    assert llr(predict, windows, ref, alt, batch_size=1).tolist() == [0.0]
    alt = np.array([T], np.uint8)
    # Forward: 3*3 - 3*1 = 6. Reverse, G>A: 3*0 - 3*2 = -6... unless the centre were misplaced.
    windows = sequence.as_ascii("GTCG").reshape(1, 4)  # reverse complement CGAC, C=1 to the left
    # Forward 6; reverse, index 1, G>A: 1*0 - 1*2 = -2; the average is 2.
    assert llr(predict, windows, ref, alt, batch_size=1).tolist() == [2.0]


def test_the_model_sees_the_centre_masked_and_nothing_else_changed():
    model = TinyModel()
    windows, ref, alt = random_variants(5, 10)
    before = windows.copy()
    llr(model, windows, ref, alt, batch_size=5)
    np.testing.assert_array_equal(windows, before)
    forward, reverse = model.seen
    assert (forward[:, 5] == MASK).all()
    assert (reverse[:, 4] == MASK).all()
    assert (model.positions[0] == 5).all()
    assert (model.positions[1] == 4).all()
    expected = sequence.encode(windows)
    flanks = np.arange(10) != 5
    np.testing.assert_array_equal(forward[:, flanks], expected[:, flanks])
    np.testing.assert_array_equal(reverse, sequence.reverse_complement_ids(forward))


def test_alternatives_of_one_site_share_a_prediction():
    model = TinyModel()
    windows, ref, alt = random_variants(4, 12)
    order = np.array([0, 1, 0, 2, 1, 0, 3])
    alts = np.array([[b for b in (A, C, G, T) if b != r] for r in ref], np.uint8)
    alt = alts[order, [0, 0, 1, 0, 1, 2, 0]]
    found = llr(model, windows[order], ref[order], alt, batch_size=3)
    assert [len(batch) for batch in model.seen] == [3, 1, 3, 1]
    alone = [
        llr(TinyModel(), windows[[i]], ref[[i]], alt[[k]], batch_size=1)[0]
        for k, i in enumerate(order)
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [30, 31])
def test_scoring_the_reverse_complemented_genome_gives_equal_llrs(tmp_path, width):
    rng = np.random.default_rng(3)
    genome = bytes(rng.choice(np.frombuffer(b"ACGT", np.uint8), 200))
    mirrored = bytes(sequence.reverse_complement(genome))
    positions = np.array([0, 1, 14, 15, 100, 150, 184, 185, 198, 199])
    ref = sequence.encode(genome)[positions]
    alt = (FIRST_BASE + (ref - FIRST_BASE + 1) % 4).astype(np.uint8)
    scores = []
    for name, bases, at, r, a in (
        ("plus.fa", genome, positions, ref, alt),
        (
            "minus.fa",
            mirrored,
            199 - positions,
            sequence.reverse_complement_ids(ref[:, None])[:, 0],
            sequence.reverse_complement_ids(alt[:, None])[:, 0],
        ),
    ):
        (tmp_path / name).write_bytes(b">c\n" + bases + b"\n")
        with Genome(tmp_path / name) as opened:
            windows = opened.windows(["c"] * len(at), at, width)
        scores.append(llr(TinyModel(), windows, r, a, batch_size=4))
    # An even window has one base more on its left, so the mirrored one reaches one base elsewhere.
    # The model reads 4 bases either side: it does not see that, but would see a misplaced centre.
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5, atol=1e-6)
    forward = llr(TinyModel(), windows, r, a, strands="forward", batch_size=4)
    assert not np.allclose(forward, scores[1])


def test_yeast_rows_are_scored_in_their_order(yeast):
    table = read_variants(yeast / "variants.parquet").sample(300, shuffle=True, seed=0)
    with Genome(yeast / "genome.fa") as genome:
        windows = genome.windows(table["chrom"].to_list(), table["pos"].to_numpy() - 1, 128)
    ref, alt = allele_ids(table)
    np.testing.assert_array_equal(sequence.encode(windows)[:, 64], ref)
    found = llr(TinyModel(), windows, ref, alt, batch_size=64)
    for row in (0, 17, 299):
        expected = naive_llr(bytes(windows[row]).decode(), int(ref[row]), int(alt[row]), "both")
        assert found[row] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_misuse_is_refused():
    windows, ref, alt = random_variants(3, 8)
    with pytest.raises(ValueError, match="expected windows"):
        llr(TinyModel(), windows, ref[:2], alt, batch_size=2)
    with pytest.raises(ValueError, match="ref must hold the ids"):
        llr(TinyModel(), windows, np.full(3, sequence.UNK, np.uint8), alt, batch_size=2)
    with pytest.raises(ValueError, match="strands"):
        llr(TinyModel(), windows, ref, alt, strands="reverse", batch_size=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        llr(TinyModel(), windows, ref, alt, batch_size=0)
    with pytest.raises(ValueError, match=r"predict gave \(2, 7\) for 2 windows"):
        llr(lambda ids, at: np.zeros((len(ids), 7), np.float32), windows, ref, alt, batch_size=2)


def test_random_state_is_left_alone():
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    windows, ref, alt = random_variants(3, 8)
    llr(TinyModel(), windows, ref, alt, batch_size=2)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
