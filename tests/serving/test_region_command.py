from pathlib import Path

import polars as pl
import pytest

from glm_composer.cli import app
from glm_composer.errors import UserError


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n" + "ACGTTGCAAC" * 10 + "N\n")
    return path


def glm(*arguments: str | Path) -> None:
    app([*map(str, arguments)], standalone_mode=False)


def test_mutagenesis_says_what_it_did(weights_file, genome, tmp_path, capsys):
    common = ("--genome", genome, "--window", 32, "--no-pictures")
    out = tmp_path / "text"
    glm("mutagenesis", weights_file, *common, "--region", "chr1:92-101", "-o", out)
    said = capsys.readouterr().out
    assert "27 variants of 10 positions in 1 region\n" in said
    assert "no rows: 1 position without a base (N)" in said
    (tmp_path / "r.bed").write_text("chr1\t91\t101\n")
    bed = tmp_path / "bed"
    glm("mutagenesis", weights_file, *common, "--bed", tmp_path / "r.bed", "-o", bed)
    first, second = (pl.read_parquet(d / "mutagenesis.parquet") for d in (out, bed))
    assert first.equals(second)
    metadata = pl.read_parquet_metadata(out / "mutagenesis.parquet")
    assert metadata["glm_composer.precision"] == "fp32"


def test_embed_takes_the_windows_of_the_rows(weights_file, genome, tmp_path, capsys):
    (tmp_path / "w.bed").write_text("chr1\t0\t20\nchr1\t33\t53\n")
    out = tmp_path / "out.parquet"
    glm("embed", weights_file, tmp_path / "w.bed", "--genome", genome, "-o", out, "--centre", 7)
    assert "2 windows of 20 bases embedded" in capsys.readouterr().out
    table = pl.read_parquet(out)
    assert table.shape == (2, 6)
    assert pl.read_parquet_metadata(out)["glm_composer.averaged"] == "central 7"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --region"),
        (["--region", "chr1:1-2", "--bed", "x.bed"], "give either --region"),
        (["--region", "chr2:1-2"], "the genome has no contig 'chr2'; it has chr1"),
        (["--region", "chr1:100-102"], "leaves contig 'chr1' of 101 bases"),
        (["--region", "chr1:1-2", "--strands", "reverse"], "'strands'"),
        (["--region", "chr1:1-2", "--window", "0"], "'window'"),
        (["--bed", "no_such.bed"], "no_such.bed: no such file"),
    ],
)
def test_mistakes_are_found_before_a_model_is_loaded(genome, tmp_path, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        glm("mutagenesis", "no_such_model", "--genome", genome, "-o", out, *arguments)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(UserError, match="exists already"):
        glm("mutagenesis", "no_such_model", "--genome", genome, "-o", out, "--region", "chr1:1-2")
