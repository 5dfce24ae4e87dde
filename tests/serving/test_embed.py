from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.serving import embed as module
from glm_composer.serving.embed import embed
from glm_composer.serving.model import ServedModel, load_model
from glm_composer.serving.places import places, survey

WINDOW = 16
HEADER = "chrom\tpos\tref\talt\n"


@pytest.fixture
def model(weights_file: Path) -> ServedModel:
    return load_model(weights_file, window=WINDOW, batch_size=4)


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    """100 bases on chr1, lower case among them, N at 1-based 41 and 44."""
    bases = np.random.default_rng(3).choice(np.frombuffer(b"ACGTacgt", np.uint8), 100)
    bases[[40, 43]] = ord("N")
    path = tmp_path / "genome.fa"
    path.write_bytes(b">chr1\n" + bases.tobytes() + b"\n>chr2\nACGTTGCA\n")
    return Genome(path)


def _file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def _naive(model: ServedModel, window: np.ndarray, start: int, end: int, both: bool) -> np.ndarray:
    """Base by base, the reverse strand flipped back, of one ASCII window."""
    ids = sequence.encode(window)[None]
    hidden = model.predictor.hidden(ids)[0].numpy()
    if both:
        turned = model.predictor.hidden(sequence.reverse_complement_ids(ids))[0].numpy()
        hidden = (hidden + turned[::-1]) / 2
    return hidden[start:end].mean(0)


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize(("centre", "stretch"), [(None, (0, 16)), (1, (8, 9)), (5, (6, 11))])
def test_embeddings_are_means_over_positions_and_strands(
    model, genome, tmp_path, strands, centre, stretch
):
    starts = [0, 7, 33, 84, 40, 12]
    text = "".join(f"chr1\t{start}\t{start + WINDOW}\n" for start in starts)
    bed = _file(tmp_path, "windows.bed", text)
    embed(model, genome, bed, tmp_path / "out.parquet", centre=centre, strands=strands)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.columns == ["chrom", "start", "end", "name", "unknown_bases", "embedding"]
    assert table["start"].to_list() == starts
    assert table["embedding"].dtype == pl.Array(pl.Float32, 16)
    contig = genome.contig("chr1")
    for start, found, unknown in table.select("start", "embedding", "unknown_bases").rows():
        window = contig[start : start + WINDOW]
        expected = _naive(model, window, *stretch, strands == "both")
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert unknown == bytes(window[slice(*stretch)]).upper().count(b"N")


def test_variants_are_the_centre_of_their_windows(model, genome, tmp_path):
    letters = genome.contig("chr1").tobytes().decode().upper()
    text = HEADER.replace("\n", "\tlabel\n")
    # At both ends of the contig, so that windows reach beyond it; and a deletion.
    for pos, length in ((1, 1), (50, 1), (98, 3)):
        ref = letters[pos - 1 : pos - 1 + length]
        text += f"chr1\t{pos}\t{ref}\t{'C' if ref[0] == 'A' else 'A'}\t1\n"
    source = _file(tmp_path, "variants.tsv", text)
    embed(model, genome, source, tmp_path / "out.parquet", centre=3)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.columns[:5] == ["chrom", "pos", "ref", "alt", "label"]
    assert table["unknown_bases"].to_list() == [1, 0, 0]
    for pos, found in table.select("pos", "embedding").rows():
        window = genome.windows(["chr1"], np.array([pos - 1]), WINDOW)[0]
        np.testing.assert_allclose(found, _naive(model, window, 7, 10, True), atol=1e-5)


def test_pieces_change_nothing_and_the_file_says_what_it_is(model, genome, tmp_path, monkeypatch):
    bed = _file(
        tmp_path, "w.bed", "".join(f"chr1\t{i}\t{i + WINDOW}\tn{i}\n" for i in range(0, 84, 3))
    )
    embed(model, genome, bed, tmp_path / "whole.parquet")
    monkeypatch.setattr(module, "_BASES", 5 * WINDOW)
    moved = []
    embed(model, genome, bed, tmp_path / "pieces.parquet", advance=moved.append)
    assert sum(moved) == 28
    assert max(moved) == 5
    whole, pieces = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("whole", "pieces"))
    assert whole.drop("embedding").equals(pieces.drop("embedding"))
    for one, other in zip(whole["embedding"], pieces["embedding"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    schema = pq.read_schema(tmp_path / "whole.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert schema.metadata[b"glm_composer.model"].decode() == model.digest
    assert schema.metadata[b"glm_composer.window"] == str(WINDOW).encode()
    assert schema.metadata[b"glm_composer.genome"].startswith(b"sha256:")


def test_a_window_is_put_around_the_middle_of_rows_of_any_length(genome, tmp_path):
    bed = _file(tmp_path, "mixed.bed", "chr1\t10\t20\nchr1\t10\t21\nchr2\t0\t1\n")
    assert survey(bed, genome, 8).window == 8
    (piece,) = places(bed, genome)
    assert piece.centres["middle"].to_list() == [15, 15, 0]
    with pytest.raises(UserError, match="row 2: 11 bases, where the rows before have 10; give"):
        survey(bed, genome, None)
    same = _file(tmp_path, "same.bed", "chr1\t10\t20\nchr1\t40\t50\n")
    found = survey(same, genome, None)
    assert (found.rows, found.window) == (2, 10)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "v.tsv",
            "chrom\tpos\tref\talt\nchr3\t1\tA\tC\n",
            "row 1: the genome has no contig 'chr3'",
        ),
        ("v.tsv", f"{HEADER}chr3\t1\tA\tC\n", "row 1: the genome has no contig 'chr3'"),
        ("v.tsv", f"{HEADER}chr2\t9\tA\tC\n", "row 1: chr2:9-9 .* leaves contig"),
        ("v.tsv", f"{HEADER}chr2\t1\tA\tC\nchr2\t2\tA\tC\n", "row 2: ref is A, but"),
        ("w.bed", "chr2\t0\t9\n", "line 1: chr2:1-9 .* leaves contig"),
        ("w.bed", "# nothing\n", "no interval"),
        ("w.txt", "chr2\t0\t9\n", "not a file of variants"),
    ],
)
def test_rows_that_do_not_lie_on_the_genome_are_refused(genome, tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        survey(_file(tmp_path, name, text), genome, None)


def test_bad_requests_leave_nothing(model, genome, tmp_path):
    bed = _file(tmp_path, "w.bed", "chr1\t0\t16\n")
    out = tmp_path / "out.parquet"
    with pytest.raises(UserError, match="--centre 17 is wider than the window of 16"):
        embed(model, genome, bed, out, centre=17)
    text = "chrom\tpos\tref\talt\tembedding\nchr2\t1\tA\tC\tx\n"
    with pytest.raises(UserError, match="its column 'embedding' is one of the output"):
        embed(model, genome, _file(tmp_path, "v.tsv", text), out)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    out.write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        embed(model, genome, bed, out)
    assert out.read_text() == "mine"
