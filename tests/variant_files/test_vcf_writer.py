import gzip
import math

import polars as pl
import pysam
import pysam.bcftools
import pytest
from test_reader import HEADER, LINES, rows_of, write_vcf_text

from glm_composer.errors import UserError
from glm_composer.variant_files.vcf_writer import write_vcf

NAN = float("nan")
SCORES = pl.DataFrame(
    {
        "LLR.minus.score": [1.23456789, None, NAN, -0.5, None, 0.0, 1e-9],
        "problem": ["", "bad_allele", "symbolic", "a;b=c d,%", None, "", ""],
    }
)
# By hand, a line of the source each.
ADDED = [
    "LLR.minus.score=1.23457,.,.;problem=.,bad_allele,symbolic",
    "LLR.minus.score=-0.5;problem=a%3Bb%3Dc%20d%2C%25",
    "",
    "LLR.minus.score=0,1e-09",
]


@pytest.fixture
def source(tmp_path):
    return write_vcf_text(tmp_path / "in.vcf")


def expected_lines():
    lines = []
    for line, added in zip(LINES.splitlines(), ADDED, strict=True):
        fields = line.split("\t")
        fields[7] = (
            added if fields[7] == "." and added else ";".join(filter(None, (fields[7], added)))
        )
        lines.append("\t".join(fields))
    return lines


@pytest.mark.parametrize("size", [1, 3, 100])
def test_all_but_info_is_the_source_letter_by_letter(source, tmp_path, size):
    out = tmp_path / "out.vcf"
    frames = SCORES.iter_slices(size)
    index = write_vcf(
        source,
        frames,
        out,
        descriptions={"LLR.minus.score": 'minus "LLR"'},
        notes={"glm_model": "sha256:12"},
    )
    assert index is None
    header = HEADER.splitlines()
    assert out.read_text().splitlines() == [
        *header[:-1],
        "##glm_model=sha256:12",
        '##INFO=<ID=LLR.minus.score,Number=A,Type=Float,Description="minus \\"LLR\\"">',
        '##INFO=<ID=problem,Number=A,Type=String,Description="problem">',
        header[-1],
        *expected_lines(),
    ]
    assert rows_of(out) == rows_of(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.vcf"]


def test_bgzip_in_and_out_with_an_index(source, tmp_path):
    pysam.tabix_compress(str(source), str(tmp_path / "in.vcf.gz"))
    out = tmp_path / "out.vcf.gz"
    index = write_vcf(tmp_path / "in.vcf.gz", [SCORES], out)
    assert index == tmp_path / "out.vcf.gz.tbi"
    assert gzip.decompress(out.read_bytes()).decode().splitlines()[-4:] == expected_lines()
    with pysam.VariantFile(str(out)) as file:
        records = list(file.fetch("HLA-A*01:01", 0, 5))
        assert [record.info["LLR.minus.score"][0] for record in records] == [0.0]
        assert [sample["GT"] for sample in records[0].samples.values()] == [(0, 0), (1, 2)]
        first = next(file.fetch("1", 0, 4)).info["LLR.minus.score"]
    assert first[0] == pytest.approx(1.23457)
    assert first[1] is None or math.isnan(first[1])
    # A second time in the same place, unsorted: the old index must not stay.
    with source.open("a") as file:
        file.write("1\t2\t.\tA\tC\t.\t.\t.\tGT\t0/0\t0/0\n")
    more = pl.concat([SCORES, SCORES[:1]])
    assert write_vcf(source, [more], out) is None
    assert not index.exists()


def test_a_bcf_becomes_a_vcf(source, tmp_path):
    bcf = tmp_path / "in.bcf"
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(source), catch_stdout=False)
    write_vcf(bcf, [SCORES], tmp_path / "out.vcf")
    lines = (tmp_path / "out.vcf").read_text().splitlines()
    assert lines[-4:] == expected_lines()
    assert all(line in lines for line in HEADER.splitlines())


def test_what_cannot_be_written(source, tmp_path):
    out = tmp_path / "out.vcf"
    out.write_text("old")
    with pytest.raises(ValueError, match="more variants than"):
        write_vcf(source, [SCORES[:-1]], out)
    with pytest.raises(ValueError, match="fewer variants than"):
        write_vcf(source, [SCORES, SCORES[:1]], out)
    with pytest.raises(UserError, match=r"has 'AF' in INFO already; take it out"):
        write_vcf(source, [SCORES.select(AF="LLR.minus.score")], out)
    with pytest.raises(UserError, match=r"'2 L' cannot be a name in INFO"):
        write_vcf(source, [SCORES.select(pl.col("problem").alias("2 L"))], out)
    with pytest.raises(UserError, match=r"out.bcf: expected a name"):
        write_vcf(source, [SCORES], tmp_path / "out.bcf")
    with pytest.raises(UserError, match=r"t.tsv: not a VCF or BCF"):
        write_vcf(tmp_path / "t.tsv", [SCORES], out)
    source.write_text(source.read_text()[:-5])
    with pytest.raises(UserError, match="truncated"):
        write_vcf(source, [SCORES], out)
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.vcf"]
    with pytest.raises(UserError, match=r"away/out.vcf: cannot be written: No such"):
        write_vcf(source, [SCORES], tmp_path / "away" / "out.vcf")


def test_bgz_is_read_as_bgzip(source, tmp_path):
    pysam.tabix_compress(str(source), str(tmp_path / "in.vcf.bgz"))
    out = tmp_path / "out.vcf"
    write_vcf(tmp_path / "in.vcf.bgz", [SCORES], out)
    assert out.read_text().splitlines()[-4:] == expected_lines()


@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_are_of_one_kind(source, tmp_path, packed):
    plain = tmp_path / "plain.vcf"
    write_vcf(source, [SCORES], plain, notes={"glm_model": "sha256:12"})
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    if packed:
        pysam.tabix_compress(str(source), str(tmp_path / "in.vcf.gz"))
        source = tmp_path / "in.vcf.gz"
    out = tmp_path / "out.vcf"
    write_vcf(source, [SCORES], out, notes={"glm_model": "sha256:12"})
    assert out.read_bytes() == plain.read_bytes()
