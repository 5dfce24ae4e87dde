import gzip
import logging

import polars as pl
import pysam
import pysam.bcftools
import pytest

from glm_composer.errors import UserError
from glm_composer.variant_files.reader import open_variants
from glm_composer.variant_files.vcf_writer import write_vcf

TABLE = pl.DataFrame(
    {
        "chrom": ["1", "1", "X", "HLA-A*01:01", "1"],
        "pos": [3, 5, 2, 7, 3],
        "ref": ["A", "C", "GTT", "n", "A"],
        "alt": ["G", "t", "G", "<DEL>", "G"],
        "label": [1, 0, 0, 1, 1],
        "score": [0.5, None, 1.0, 2.5, 0.5],
        "note": ["start, lost", None, "007", "x", "y"],
    }
)
READ = TABLE.with_columns(pl.col("ref", "alt").str.to_uppercase())

HEADER = """##fileformat=VCFv4.2
##contig=<ID=1,length=100>
##contig=<ID=HLA-A*01:01>
##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo
"""
LINES = (
    "1\t3\trs7\ta\tG,*,<DEL>\t29.5\tPASS\tAF=0.1,0.2,0.3\tGT\t0/1\t2|3\n"
    "1\t5\t.\tCAT\tC\t.\t.\t.\tGT\t./.\t0/1\n"
    "1\t9\tx;y\tN\t.\t.\t.\t.\tGT\t./.\t0/0\n"
    "HLA-A*01:01\t1\t.\tG\tG]1:3],c\t.\t.\t.\tGT\t0/0\t1/2\n"
)
ROWS = [
    ("1", 3, "rs7", "A", "G"),
    ("1", 3, "rs7", "A", "*"),
    ("1", 3, "rs7", "A", "<DEL>"),
    ("1", 5, None, "CAT", "C"),
    ("1", 9, "x;y", "N", "."),
    ("HLA-A*01:01", 1, None, "G", "G]1:3]"),
    ("HLA-A*01:01", 1, None, "G", "C"),
]


def write_vcf_text(path, lines=LINES, header=HEADER):
    path.write_text(header + lines)
    return path


def rows_of(path, size=100, start=0):
    with open_variants(path) as file:
        return [row for piece in file.chunks(size, start) for row in piece.rows()]


@pytest.fixture
def tables(tmp_path):
    """The same table in every format, by name."""
    TABLE.write_parquet(tmp_path / "t.parquet", row_group_size=2)
    TABLE.write_csv(tmp_path / "t.csv")
    TABLE.write_csv(tmp_path / "t.tsv", separator="\t")
    for name in ("t.csv", "t.tsv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    return sorted(tmp_path.iterdir())


@pytest.fixture
def calls(tmp_path):
    """The same VCF as text, bgzip and BCF."""
    text = write_vcf_text(tmp_path / "t.vcf")
    pysam.tabix_compress(str(text), str(tmp_path / "t.vcf.gz"))
    pysam.bcftools.view("-Ob", "-o", str(tmp_path / "t.bcf"), str(text), catch_stdout=False)
    return sorted(tmp_path.iterdir())


def test_tables_of_every_format_read_the_same(tables):
    assert len(tables) == 5
    for path in tables:
        with open_variants(path) as file:
            assert file.kind == path.name.split(".")[1]
            assert file.columns == TABLE.columns
            assert file.count() == 5
            (piece,) = file.chunks(100)
        assert piece.equals(READ), path


def test_calls_of_every_format_are_split_by_allele(calls, capfd):
    assert len(calls) == 3
    for path in calls:
        assert rows_of(path) == ROWS, path
        with open_variants(path) as file:
            assert file.count() == 7
            assert file.columns == ["chrom", "pos", "id", "ref", "alt"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pieces_from_any_start_are_the_rest_of_the_file(tables, calls, size):
    for path in {*tables, *calls}:
        every = rows_of(path)
        for start in range(len(every) + 2):
            with open_variants(path) as file:
                pieces = [piece.rows() for piece in file.chunks(size, start)]
            assert [row for piece in pieces for row in piece] == every[start:], (path, start)
            assert all(len(piece) == size for piece in pieces[:-1])


def test_columns_of_other_types(tmp_path):
    path = tmp_path / "t.parquet"
    TABLE.with_columns(
        pl.col("chrom", "ref").cast(pl.Categorical), pl.col("pos").cast(pl.UInt32)
    ).write_parquet(path, row_group_size=2)
    with open_variants(path) as file:
        assert pl.concat(file.chunks(3)).equals(READ)
    TABLE.with_columns(pos=pl.lit(2.5)).write_parquet(path)
    with pytest.raises(UserError, match=r"row 1, column 'pos': 2\.5 is not an integer"):
        rows_of(path)


def test_types_come_from_all_rows_of_a_text_table(tmp_path):
    path = tmp_path / "long.csv"
    count = 200_000  # several blocks
    lines = [f"1,{i + 1},A,C,{i},,{i},true\n" for i in range(count)]
    lines[-1] = f"1,{count},A,C,0.5,,word,False\n"
    path.write_text("chrom,pos,ref,alt,number,nothing,text,truth\n" + "".join(lines))
    with open_variants(path) as file:
        pieces = list(file.chunks(65_536))
    assert [len(piece) for piece in pieces] == [65_536, 65_536, 65_536, 3_392]
    table = pl.concat(pieces)
    assert table["number"][-1] == 0.5
    assert table["number"][5] == 5.0
    assert table["text"].to_list()[-2:] == [str(count - 2), "word"]
    assert table["truth"].to_list()[-2:] == [True, False]
    assert table["nothing"].null_count() == count


def test_text_that_a_number_would_change_stays_text(tmp_path):
    path = tmp_path / "t.csv"
    columns = {
        "omim": ["007", "12"],
        "negative": ["-07", "0.5"],
        "huge": ["12345678901234567890", "1"],
        "long": ["12345678901234567", "1"],
        # The second row alone would let the first one be a number with fewer digits.
        "mixed": ["1234567890123456", "0.5"],
        "signed": ["+5", "-3"],
        "decimal": ["0.50", "1e5"],
    }
    for last in ("", "7"):  # a last row that is a whole number changes none of it
        rows = [*zip(*columns.values(), strict=True), *([(last,) * len(columns)] if last else [])]
        body = [f"1,2,A,C,{','.join(row)}\n" for row in rows]
        path.write_text(f"chrom,pos,ref,alt,{','.join(columns)}\n" + "".join(body))
        with open_variants(path) as file:
            (table,) = file.chunks(10)
        for name in ("omim", "negative", "huge", "mixed"):
            assert table[name].to_list()[:2] == columns[name], name
        assert table["long"].to_list()[:2] == [12345678901234567, 1]
        assert table["signed"].to_list()[:2] == [5, -3]
        assert table["decimal"].to_list()[:2] == [0.5, 1e5]


def test_blocks_are_judged_together(tmp_path):
    path = tmp_path / "t.csv"
    count = 200_000  # several blocks; only the first has the long number, only the last a fraction
    lines = ["1,2,A,C,12345678901234567\n", *["1,2,A,C,1\n"] * count, "1,2,A,C,0.5\n"]
    path.write_text("chrom,pos,ref,alt,id\n" + "".join(lines))
    with open_variants(path) as file:
        table = pl.concat(file.chunks(1 << 16))
    assert table["id"].to_list()[:2] == ["12345678901234567", "1"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_last_line_without_an_end_is_told(tmp_path, caplog, end):
    path = tmp_path / "t.csv"
    path.write_bytes(f"chrom,pos,ref,alt,gene\n1,2,A,C,BRCA1\n1,3,A,C,BRC{end}".encode())
    with caplog.at_level(logging.WARNING):
        assert len(rows_of(path)) == 2
    told = [record.getMessage() for record in caplog.records]
    cut = f"{path}: the last row, '1,3,A,C,BRC', has no line break at its end; was the file cut "
    assert told == ([] if end else [f"{cut}short?"])


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("t.vcf.gz", "a.vcf", r"holds VCF compressed by bgzip; rename it to a\.vcf\.gz"),
        ("t.bcf", "a.vcf.gz", r"holds BCF; rename it to a\.bcf"),
        ("t.vcf", "A.VCF.GZ", r"holds VCF without compression; rename it to A\.vcf"),
        ("t.vcf", "a.b.bcf", r"holds VCF without compression; rename it to a\.b\.vcf"),
        ("t.vcf", "a.vcf.bgz", r"holds VCF without compression; rename it to a\.vcf"),
    ],
)
def test_a_name_that_says_another_content_is_refused(calls, tmp_path, source, name, message):
    path = (tmp_path / source).rename(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: {message}$"):
        open_variants(path)


def test_bgz_is_a_name_of_bgzip(calls, tmp_path):
    path = (tmp_path / "t.vcf.gz").rename(tmp_path / "t.vcf.bgz")
    with open_variants(path) as file:
        assert file.kind == "vcf"
    assert rows_of(path) == ROWS
    for name in ("t.csv.bgz", "t.bcf.bgz", "t.parquet.bgz"):
        with pytest.raises(UserError, match=r"expected .*\.vcf \[\.gz, \.bgz\]"):
            open_variants(tmp_path / name)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("lines", [LINES + "\n", LINES + "\n" + LINES])
def test_a_blank_line_is_called_so(tmp_path, lines, end):
    path = tmp_path / "t.vcf"
    path.write_bytes((HEADER + lines).replace("\n", end).encode())
    packed = tmp_path / "t.vcf.gz"
    pysam.tabix_compress(str(path), str(packed))
    for each in (path, packed):
        with pytest.raises(UserError, match=r"record 5 \(after HLA.*\) is a blank line; remove"):
            rows_of(each)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "chrom,pos,ref\n1,2,A\n", "no column 'alt'; .* chrom, pos, ref$"),
        ("t.csv", "chrom,pos,ref,alt\n", "a header but no rows"),
        ("t.csv", "", "no column .chrom.; .* has none$"),
        ("t.csv", "chrom,pos,ref,alt,pos\n1,2,A,C,3\n", "column 'pos' is there twice"),
        ("t.csv", "chrom,pos,ref,alt\n1,2,A,C\n1,2,A,C,9\n", "Expected 4 columns, got 5"),
        ("t.csv", "chrom,pos,ref,alt\n1,2,A,C\n1,1e5,A,C\n", "row 2, column 'pos': '1e5' is not"),
        ("t.tsv", "chrom\tpos\tref\talt\n\t2\tA\tC\n", "row 1, column 'chrom': None is empty"),
        (
            "t.csv",
            'chrom,pos,ref,alt\n1,2,A,C\n1,3,A,"C\n1,4,A,C\n',
            "row 2, column 'alt': a field",
        ),
        ("t.parquet", "PAR1 and no more", "cannot be read as Parquet"),
        ("t.txt", "", "not a file of variants; expected .parquet"),
        ("t.bcf.gz", "", "not a file of variants"),
        ("t.vcf", "", "empty file"),
        ("t.vcf", "1\t3\t.\tA\tC\t.\t.\t.\n", "not a VCF or BCF"),
        ("t.bcf", "no", "not a VCF or BCF"),
        ("t.vcf", HEADER, "a header but no rows"),
        ("t.vcf", HEADER + LINES[:-1], "truncated: the last line has no end"),
        ("t.vcf", HEADER + LINES + "1\tx\t.\tA\tC\t.\t.\t.\tGT\t.\t.\n", r"record 5 \(after HLA"),
        ("t.vcf", HEADER + "1\t4\t.\tA\n", r"record 1 \(after the header\) cannot be read"),
    ],
)
def test_damaged_files_are_one_line_of_error(tmp_path, capfd, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=rf"{name}[:,] .*{message}") as caught:
        rows_of(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_cut_files_are_refused(tables, calls, tmp_path):
    for path in {*tables, *calls}:
        if path.suffix in (".csv", ".tsv"):
            continue
        whole = path.read_bytes()
        for kept in (len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:kept])
            with pytest.raises(UserError, match=path.name):
                rows_of(path)
    (tmp_path / "plain.vcf.gz").write_bytes(gzip.compress((HEADER + LINES).encode()))
    with pytest.raises(UserError, match="plain gzip; recompress"):
        rows_of(tmp_path / "plain.vcf.gz")
    with pytest.raises(UserError, match="no such file"):
        open_variants(tmp_path / "none.vcf")


def test_a_damaged_block_is_noticed(tmp_path, capfd):
    path = write_vcf_text(tmp_path / "t.vcf", LINES * 3_000)
    pysam.tabix_compress(str(path), str(tmp_path / "t.vcf.gz"))
    data = bytearray((tmp_path / "t.vcf.gz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "t.vcf.gz").write_bytes(data)
    with pytest.raises(UserError, match=r"t.vcf.gz: record \d+ \(after .*\) cannot be read"):
        rows_of(tmp_path / "t.vcf.gz")
    frame = pl.DataFrame({"LLR": [0.5] * 21_000})
    with pytest.raises(UserError, match=r"t.vcf.gz: damaged"):
        write_vcf(tmp_path / "t.vcf.gz", [frame], tmp_path / "out.vcf")
    assert not (tmp_path / "out.vcf").exists()
    assert capfd.readouterr().err == ""


def test_a_vcf_without_contig_lines(tmp_path, capfd):
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path = write_vcf_text(tmp_path / "t.vcf", "chr1\t3\t.\tA\tC\t.\t.\tNEW=1\n", header)
    assert rows_of(path) == [("chr1", 3, None, "A", "C")]
    assert capfd.readouterr().err == ""


def test_closing_in_the_middle(calls):
    with open_variants(calls[0]) as file:
        pieces = file.chunks(1)
        next(pieces)
    with pytest.raises(StopIteration):
        next(pieces)
