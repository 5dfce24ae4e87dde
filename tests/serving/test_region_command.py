from pathlib import Path

import polars as pl
import pytest

from glm_composer.cli import app
from glm_composer.errors import UserError
from glm_composer.serving.regions import parse_region, parse_regions
from glm_composer.variant_files.contigs import ContigNames


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


def test_contigs_go_by_the_names_of_a_table(weights_file, genome, tmp_path):
    (tmp_path / "names.tsv").write_text("chr1\tI\n")
    named = ("--genome", genome, "--contigs", tmp_path / "names.tsv")
    options = ("--window", 32, "--no-pictures")
    tables = []
    for contig in ("chr1", "I"):
        (tmp_path / f"{contig}.bed").write_text(f"{contig}\t91\t101\n")
        for kind, given in (("region", f"{contig}:92-101"), ("bed", tmp_path / f"{contig}.bed")):
            out = tmp_path / f"{kind}-{contig}"
            glm("mutagenesis", weights_file, *named, *options, f"--{kind}", given, "-o", out)
            tables.append(pl.read_parquet(out / "mutagenesis.parquet"))
    assert len(tables[0]) == 27
    assert all(table.equals(tables[0]) for table in tables)
    metadata = pl.read_parquet_metadata(out / "mutagenesis.parquet")
    assert metadata["glm_composer.contigs"].startswith("sha256:")

    (tmp_path / "I.tsv").write_text("chrom\tpos\tref\talt\tmiddle\nI\t95\tT\tC\tmine\n")
    (tmp_path / "chr1.tsv").write_text("chrom\tpos\tref\talt\tmiddle\nchr1\t95\tT\tC\tmine\n")
    for end, columns in (("bed", ["start", "end"]), ("tsv", ["pos", "ref", "alt", "middle"])):
        found = {}
        for contig in ("chr1", "I"):
            out = tmp_path / f"{end}-{contig}.parquet"
            source = tmp_path / f"{contig}.{end}"
            glm("embed", weights_file, source, *named, "--window", 32, "-o", out)
            found[contig] = pl.read_parquet(out)
            assert found[contig]["chrom"].to_list() == [contig]
        assert found["I"].drop("chrom").equals(found["chr1"].drop("chrom"))
        assert set(columns) <= set(found["I"].columns)


def test_contigs_of_known_assemblies_need_no_table():
    yeast = {"chr1": 230218}
    region = parse_region("NC_001133.9:1-10", yeast, ContigNames.known())
    assert str(region) == region.name == "chr1:1-10"
    # Only where the genome's contig is as long as that assembly's.
    with pytest.raises(UserError, match=r"the genome has no contig 'NC_001133\.9'"):
        parse_region("NC_001133.9:1-10", {"chr1": 230217}, ContigNames.known())
    with pytest.raises(UserError, match="'I:1-10' is given twice"):
        parse_regions(["chr1:1-10", "I:1-10"], yeast, ContigNames.known())


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
