import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.evaluation.predict import Predictor
from glm_composer.evaluation.scores import llr, score_variants
from glm_composer.genome import Genome
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.serving import mutagenesis
from glm_composer.serving.model import ServedModel, load_model
from glm_composer.serving.mutagenesis import SUMMARY, TABLE, mutate
from glm_composer.serving.regions import Region, parse_region

WINDOW = 24
PNG = b"\x89PNG\r\n"


@pytest.fixture
def model(weights_file: Path) -> ServedModel:
    return load_model(weights_file, window=WINDOW, batch_size=16)


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    """120 bases, lower case among them, with N at 1-based 41 and 44."""
    bases = np.random.default_rng(3).choice(np.frombuffer(b"ACGTacgt", np.uint8), 120)
    bases[[40, 43]] = ord("N")
    path = tmp_path / "genome.fa"
    path.write_bytes(b">chr1\n" + bases.tobytes() + b"\n>chr2\nACGT\n")
    return Genome(path)


def _region(genome: Genome, text: str) -> Region:
    return parse_region(text, genome.lengths)


def _table(model: ServedModel, genome: Genome, out: Path, *texts: str, **how) -> pl.DataFrame:
    how = {"pictures": False} | how
    mutate(model, genome, [_region(genome, text) for text in texts], out, **how)
    return pl.read_parquet(out / TABLE)


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_every_snv_is_scored_as_one_variant_at_a_time(model, genome, tmp_path, strands):
    # Over the contig's start, the N and its end.
    table = _table(model, genome, tmp_path / "out", "chr1:1-120", strands=strands)
    contig = genome.contig("chr1").tobytes().decode().upper()
    expected = [
        ("chr1", pos, contig[pos - 1], alt)
        for pos in range(1, 121)
        if contig[pos - 1] != "N"
        for alt in "ACGT".replace(contig[pos - 1], "")
    ]
    assert table.select("chrom", "pos", "ref", "alt").rows() == expected
    for _, pos, ref, alt, score in table.select("chrom", "pos", "ref", "alt", "LLR").rows()[::7]:
        window = genome.windows(["chr1"], np.array([pos - 1]), WINDOW)
        ids = (sequence.encode(ref), sequence.encode(alt))
        one = llr(model.predictor.at, window, *ids, strands=strands, batch_size=1)
        assert score == pytest.approx(one[0], abs=1e-5)
    # The four probabilities of a position are those of one of four bases.
    sums = table.group_by("pos").agg(
        pl.col("ref_probability").first() + pl.col("alt_probability").sum()
    )
    np.testing.assert_allclose(sums["ref_probability"], 1, atol=1e-5)
    ratio = np.log(table["alt_probability"] / table["ref_probability"])
    np.testing.assert_allclose(ratio, table["LLR"], atol=1e-4)


def test_a_causal_model_weighs_windows_with_each_base(genome, tmp_path):
    torch.manual_seed(0)
    network = build_transformer(TransformerConfig(width=16, layers=1, heads=2, causal=True)).eval()
    model = ServedModel(
        predictor=Predictor(network.embed, network.decoder, 8, causal=True),
        window=WINDOW,
        digest="sha256:none",
        settings="{}",
        name="causal",
        causal=True,
    )
    with torch.no_grad():
        table = _table(model, genome, tmp_path / "out", "chr1:38-46")
        windows = genome.windows(["chr1"] * len(table), table["pos"].to_numpy() - 1, WINDOW)
        ids = [sequence.encode("".join(table[name])) for name in ("ref", "alt")]
        one = score_variants(model.predictor, windows, *ids, ["window_llr"])["window_llr"]
    assert len(table) == 3 * 7
    np.testing.assert_allclose(table["LLR"], one, atol=1e-5)
    assert np.abs(one).max() > 0.01


def test_pieces_and_neighbouring_regions_change_nothing(model, genome, tmp_path, monkeypatch):
    whole = _table(model, genome, tmp_path / "whole", "chr1:31-70").drop("region")
    parts = _table(model, genome, tmp_path / "parts", "chr1:31-50", "chr1:51-70")
    assert parts["region"].unique(maintain_order=True).to_list() == ["chr1:31-50", "chr1:51-70"]
    monkeypatch.setattr(mutagenesis, "_PIECE", 7)
    monkeypatch.setattr(mutagenesis, "_ROW_GROUP", 25)
    pieces = _table(model, genome, tmp_path / "pieces", "chr1:31-70").drop("region")
    for other in (parts.drop("region"), pieces):
        assert other.select("pos", "ref", "alt").equals(whole.select("pos", "ref", "alt"))
        np.testing.assert_allclose(other["LLR"], whole["LLR"], atol=1e-5)


def test_positions_without_a_base_are_counted_and_the_output_says_what_it_is(
    model, genome, tmp_path
):
    moved = []
    (done,) = mutate(
        model,
        genome,
        [_region(genome, "chr1:40-45")],
        tmp_path / "out",
        pictures=False,
        advance=moved.append,
    )
    assert (done.positions, done.unknown, done.picture) == (6, 2, None)
    assert sum(moved) == 6
    metadata = pq.read_metadata(tmp_path / "out" / TABLE).metadata
    assert metadata[b"glm_composer.model"].decode() == model.digest
    assert metadata[b"glm_composer.genome"].startswith(b"sha256:")
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert summary["glm_composer.window"] == str(WINDOW)
    assert summary["regions"][0]["unknown"] == 2


@pytest.mark.slow  # matplotlib takes seconds to import
def test_pictures_of_short_regions_the_same_each_time(model, genome, tmp_path, monkeypatch):
    monkeypatch.setattr(mutagenesis, "LONGEST_DRAWN", 4)
    regions = [_region(genome, text) for text in ("chr1:39-42", "chr2:1-3", "chr1:1-5")]
    done = mutate(model, genome, regions, tmp_path / "first")
    assert [each.picture for each in done] == ["chr1_39-42", "chr2_1-3", None]
    mutate(model, genome, regions[:1], tmp_path / "second")
    for file in ("chr1_39-42.png", "chr1_39-42.svg"):
        first = (tmp_path / "first" / file).read_bytes()
        assert first == (tmp_path / "second" / file).read_bytes()
        assert first.startswith(PNG) or b"<svg" in first
    assert len(list((tmp_path / "first").iterdir())) == 6


def test_an_output_that_exists_is_left_alone(model, genome, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match="exists already"):
        _table(model, genome, out, "chr2:1-4")
    assert list(out.iterdir()) == []


def test_nothing_is_left_of_a_work_that_failed(model, genome, tmp_path):
    def fail(positions: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        _table(model, genome, tmp_path / "out", "chr2:1-4", advance=fail)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
