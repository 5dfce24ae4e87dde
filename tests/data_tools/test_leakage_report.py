"""Planted copies of real windows are found, with their places; k-mers against strings and sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_composer.cli import main
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.data_tools import near_duplicates
from glm_composer.data_tools.kmers import K, canonical_kmers, sketch
from glm_composer.data_tools.leakage import find_leakage
from glm_composer.data_tools.near_duplicates import find_nearest, scale_for
from glm_composer.data_tools.pairs import compare
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.sequence import Bytes, as_ascii, reverse_complement
from glm_composer.settings import load

LENGTH = 512
COPIES = 40
RATES = (0.0, 0.01, 0.05, 0.1)
YAML = """
name: planted
out: {out}
source: {{name: genome, fasta: {fasta}, assembly: S288c}}
windows: {{name: tiles, length: 512, stride: {{train: 256, test: 512, clean: 512}}}}
splits: {{train: [chr01, chr02], test: [planted], clean: [clean]}}
deduplicate: false
"""


def mutate(bases: Bytes, rate: float, rng: np.random.Generator) -> Bytes:
    """Exchange each base [...] with a probability for one of the three others."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    steps = rng.integers(1, 4, bases.shape) * (rng.random(bases.shape) < rate)
    return letters[(np.searchsorted(letters, bases) + steps) % 4]


@pytest.fixture(scope="module")
def planted(yeast: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """chr01 and chr02 as train; held out, copies of their windows at each rate, half turned.

    The other held-out contig is a shuffled stretch of chr05, which resembles nothing. Returns the
    dataset and the copies' sources as train sample ids.
    """
    directory = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(1)
    with Genome(yeast / "genome.fa") as genome:
        train = {name: genome.contig(name) for name in ("chr01", "chr02")}
        other = rng.permutation(genome.contig("chr05")[: 200 * LENGTH])
    # Away from the ends, whose repeats have copies of their own.
    starts = 256 * rng.choice(np.arange(60, 700), len(RATES) * COPIES, replace=False)
    sources = [train["chr01"][s : s + LENGTH] for s in starts]
    copies = [
        mutate(source, rate, rng)
        for source, rate in zip(sources, np.repeat(RATES, COPIES), strict=True)
    ]
    held_out = [reverse_complement(c) if i % 2 else c | 0x20 for i, c in enumerate(copies)]
    contigs = train | {"planted": np.concatenate(held_out), "clean": other}
    path = directory / "planted.yaml"
    fasta = directory / "planted.fa"
    fasta.write_text("".join(f">{name}\n{b.tobytes().decode()}\n" for name, b in contigs.items()))
    path.write_text(YAML.format(out=directory / "out", fasta=fasta))
    return convert(load(ConvertConfig, path), progress=False), (starts // 256).tolist()


@pytest.mark.slow
def test_planted_copies_are_found_and_nothing_else(planted: tuple[Path, list[int]]) -> None:
    dataset, sources = planted
    found = find_leakage(dataset, pairs=len(sources))
    test, clean = found.splits
    assert (test.split, test.windows, clean.split) == ("test", len(RATES) * COPIES, "clean")
    assert clean.near == clean.copies == 0
    assert test.copies == COPIES
    right = {rate: 0 for rate in RATES}
    for pair in test.worst:
        rate = RATES[pair.held_out_id // COPIES]
        right[rate] += pair.train_id == sources[pair.held_out_id]
        if pair.train_id == sources[pair.held_out_id]:
            assert abs(pair.estimated - pair.containment) < 0.25
            assert pair.turned == bool(pair.held_out_id % 2)
            assert pair.overlap == LENGTH
            assert abs(pair.identical / LENGTH - (1 - rate)) < 0.06
            start = 256 * sources[pair.held_out_id]
            assert pair.train == f"S288c chr01:{start:,}-{start + LENGTH:,} (+)"
    assert right[0.0] == right[0.01] == COPIES
    assert right[0.05] >= COPIES - 1
    assert right[0.1] >= 0.9 * COPIES
    # At the threshold, nine in ten of those that differ in 10% of their bases.
    assert test.near >= (3 + 0.8) * COPIES
    assert test.levels["0.75"] >= 1.8 * COPIES


def test_verb_prints_and_writes(
    planted: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "data",
        "leakage",
        str(planted[0]),
        "--out",
        str(tmp_path / "new"),
        "--pairs",
        "3",
    ]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "new/leakage.json").read_text())
    page = (tmp_path / "new/data.html").read_text()
    test = figures["splits"][0]
    assert len(test["worst"]) == 3
    for text in (printed, page):
        assert test["worst"][0]["held_out"] in text
        assert test["worst"][0]["train"] in text
        assert f"{test['near']:,} of {len(RATES) * COPIES} windows" in text
    assert "://" not in page
    assert not list(planted[0].glob("*.html"))


def test_thresholds_and_splits_that_make_no_sense(planted: tuple[Path, list[int]]) -> None:
    with pytest.raises(UserError, match="--threshold 0: a containment lies in"):
        find_leakage(planted[0], threshold=0)
    with pytest.raises(UserError, match="no split 'trian'; it has train, test, clean"):
        find_leakage(planted[0], train="trian")


def strings(window: str) -> list[str | None]:
    """Naive reference: the k-mers of a window as the smaller of both strands."""
    window = window.upper()
    kmers: list[str | None] = []
    for i in range(len(window) - K + 1):
        kmer = window[i : i + K]
        known = set(kmer) <= set("ACGT")
        turned = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
        kmers.append(min(kmer, turned) if known else None)
    return kmers


@given(st.text(st.sampled_from("ACGTacgtN"), max_size=60), st.integers(1, 50))
def test_kmers_are_equal_where_their_strings_are(window: str, repeat: int) -> None:
    window = (window + window)[: len(window) + repeat]
    kmers, known = canonical_kmers(as_ascii(window).reshape(1, -1))
    expected = strings(window)
    assert [k is not None for k in expected] == known[0].tolist()
    pairs = {(k, s) for k, s in zip(kmers[0].tolist(), expected, strict=True) if s is not None}
    assert len({k for k, _ in pairs}) == len({s for _, s in pairs}) == len(pairs)


def test_sketch_keeps_a_fixed_fraction_of_distinct_kmers(yeast: Path) -> None:
    with Genome(yeast / "genome.fa") as genome:
        windows = genome.contig("chr03")[:204_800].reshape(400, 512)
    owner, kmers = sketch(windows, 7)
    every, all_kmers = sketch(windows, 1)
    whole = set(zip(every.tolist(), all_kmers.tolist(), strict=True))
    assert len(whole) == len(every)
    assert len(whole) == sum(len({*strings(w.tobytes().decode())} - {None}) for w in windows)
    part = set(zip(owner.tolist(), kmers.tolist(), strict=True))
    assert part == {(o, k) for o, k in whole if k <= 0xFFFFFFFF // 7}
    assert abs(len(part) / len(whole) - 1 / 7) < 0.005


def naive_nearest(held_out: Bytes, train: Bytes) -> tuple[list[float], list[int]]:
    theirs = [{*strings(w.tobytes().decode())} - {None} for w in train]
    shares, places = [], []
    for window in held_out:
        ours = {*strings(window.tobytes().decode())} - {None}
        counts = [len(ours & their) for their in theirs]
        best = int(np.argmax(counts))
        shares.append(counts[best] / len(ours) if len(ours) >= 8 else float("nan"))
        places.append(best if len(ours) >= 8 and counts[best] else -1)
    return shares, places


@pytest.mark.parametrize(("block", "piece"), [(1_000, 1 << 21), (7, 50)])
def test_nearest_windows_are_those_of_a_loop(
    yeast: Path, block: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_PIECE", piece)
    rng = np.random.default_rng(2)
    with Genome(yeast / "genome.fa") as genome:
        bases = genome.contig("chr03")
    train = np.stack([bases[s : s + 100] for s in rng.integers(0, 20_000, 150)])
    held_out = np.stack([bases[s : s + 100] for s in rng.integers(0, 20_000, 40)])
    held_out[3, 10:95], held_out[4] = ord("N"), held_out[5]
    found = find_nearest(
        (held_out[i : i + block] for i in range(0, 40, block)),
        (train[i : i + block] for i in range(0, 150, block)),
        scale=1,
    )
    shares, places = naive_nearest(held_out, train)
    np.testing.assert_allclose(found.containment, shares, rtol=1e-6)
    assert found.train.tolist() == places
    assert places[3] == -1
    assert len(set(places)) > 20


def test_kmers_of_frequent_repeats_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    repeat, own = rng.choice(list(b"ACGT"), (2, 30, 256)).astype(np.uint8)
    repeat[:] = repeat[0]
    monkeypatch.setattr(near_duplicates, "_FREQUENT", 29)
    found = find_nearest([np.concatenate([repeat, own], axis=1)], [own[::-1]], scale=1)
    # What is left of each window is its own half, and the seam.
    assert found.train.tolist() == list(range(29, -1, -1))
    assert found.containment.min() > 0.9
    assert np.isnan(find_nearest([repeat], [repeat], scale=1).containment).all()


def test_scale_keeps_enough_kmers_of_short_windows() -> None:
    assert [scale_for(length) for length in (8, 100, 512, 10_000)] == [1, 1, 7, 156]


@pytest.mark.parametrize("turned", [False, True])
def test_comparison_finds_shift_and_strand(turned: bool) -> None:
    rng = np.random.default_rng(4)
    bases = rng.choice(list(b"ACGT"), 300).astype(np.uint8)
    first, second = bases[:200].copy(), bases[50:250].copy()
    second[20] = ord("A") if second[20] != ord("A") else ord("C")
    if turned:
        second = reverse_complement(second)
    found = compare(first, second | 0x20)
    assert (found.overlap, found.identical, found.turned) == (150, 149, turned)
    assert found.containment == pytest.approx((150 - K + 1 - K) / (200 - K + 1))
