from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.serving.regions import (
    bed_rows,
    parse_region,
    parse_regions,
    read_bed_regions,
)

LENGTHS = {"chr1": 1000, "HLA-A*01:01": 50, "chr2": 10}


def _bed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "regions.bed"
    path.write_text(text)
    return path


def test_text_is_one_based_and_closed_and_bed_zero_based_and_half_open(tmp_path):
    region = parse_region("chr1:101-200", LENGTHS)
    assert (region.contig, region.start, region.end, len(region)) == ("chr1", 100, 200, 100)
    (same,) = read_bed_regions(_bed(tmp_path, "chr1\t100\t200\n"), LENGTHS)
    assert same == region
    assert str(same) == same.name == "chr1:101-200"


def test_whole_contigs_single_bases_commas_and_colons_in_names():
    assert len(parse_region("chr1:1-1,000", LENGTHS)) == 1000
    assert len(parse_region("chr1:1000-1000", LENGTHS)) == 1
    region = parse_region("HLA-A*01:01:5-6", LENGTHS)
    assert (region.contig, region.start, region.end) == ("HLA-A*01:01", 4, 6)
    assert "/" not in region.file_stem
    assert "*" not in region.file_stem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1", "expected CONTIG:START-END"),
        ("chr1:5", "expected CONTIG:START-END"),
        ("chr1:5-", "expected CONTIG:START-END"),
        ("chr1:-5-7", "expected CONTIG:START-END"),
        ("chr1:0-7", "leaves contig 'chr1'"),
        ("chr1:991-1001", r"chr1:991-1001 \(1-based\) leaves contig 'chr1' of 1000 bases"),
        ("chr1:20-11", "reversed"),
        ("1:5-7", "no contig '1'; it has chr1, HLA"),
    ],
)
def test_bad_regions_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_region(text, LENGTHS)


def test_bed_comments_names_and_line_numbers(tmp_path):
    path = _bed(
        tmp_path,
        "track name=x\nbrowser position chr1:1-10\n#c\n\nchr1\t0\t5\tfirst\t7\t+\nchr2\t9\t10\n",
    )
    (rows,) = bed_rows(path, LENGTHS)
    assert rows["line"].to_list() == [5, 6]
    assert rows["name"].to_list() == ["first", None]
    # In pieces of any size, the same rows.
    assert [row for piece in bed_rows(path, LENGTHS, chunk=1) for row in piece.rows()] == (
        rows.rows()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t0\t5\nchr1\t9\t6\n", "line 2: the interval 9 to 6 .* is reversed"),
        ("chr1\t7\t7\n", "line 1: .* empty"),
        ("#a\nchr1\t0\t1001\n", "line 2: .*leaves contig"),
        ("chr1\t-1\t5\n", "line 1: .*leaves contig"),
        ("chr9\t0\t5\n", "line 1: the genome has no contig 'chr9'"),
        ("chr1 0 5\n", "line 1: expected CONTIG, START and END, tab-separated"),
        ("chr1\t0\tfive\n", "line 1: expected CONTIG"),
        ("chr1\t0\n", "line 1: expected CONTIG"),
        ("#only a comment\n", "no interval"),
        ("", "empty"),
        ("chr1\t0\t5\nchr1\t0\t5\tagain\n", "line 2: chr1:1-5 is there already"),
    ],
)
def test_bad_bed_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_bed_regions(_bed(tmp_path, text), LENGTHS)


def test_a_region_given_twice_is_refused():
    with pytest.raises(UserError, match="'chr1:1,1-12' is given twice"):
        parse_regions(["chr1:11-12", "chr2:1-2", "chr1:1,1-12"], LENGTHS)
