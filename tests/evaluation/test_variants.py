import gzip

import numpy as np
import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.evaluation.variants import allele_ids, check_reference, read_variants
from glm_composer.genome import Genome
from glm_composer.sequence import A, C, G, T

TABLE = pl.DataFrame(
    {
        "chrom": ["1", "1", "X"],
        "pos": [3, 5, 2],
        "ref": ["A", "C", "G"],
        "alt": ["G", "T", "T"],
        "label": [True, False, False],
        "consequence": ["start_lost", None, "synonymous"],
    }
)


@pytest.fixture
def written(tmp_path):
    """Write TABLE with a column replaced, as csv of text, and return its path."""

    def write(**columns):
        path = tmp_path / "table.csv"
        TABLE.with_columns(**{k: pl.Series(k, v) for k, v in columns.items()}).write_csv(path)
        return path

    return write


def test_every_format_reads_the_same(tmp_path):
    TABLE.write_parquet(tmp_path / "t.parquet")
    TABLE.write_csv(tmp_path / "t.csv")
    TABLE.write_csv(tmp_path / "t.tsv", separator="\t")
    for name in ("t.csv", "t.tsv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    for name in ("t.parquet", "t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz"):
        assert read_variants(tmp_path / name).equals(TABLE), name


def test_types_are_normalised_and_other_columns_kept(tmp_path):
    path = tmp_path / "t.parquet"
    TABLE.with_columns(
        chrom=pl.Series([1, 1, 23]),
        pos=pl.Series([3, 5, 2], dtype=pl.Int32),
        ref=pl.Series(["a", "c", "g"]),
        label=pl.Series([1, 0, 0]),
        match_group=pl.Series([0, 0, 1]),
    ).write_parquet(path)
    table = read_variants(path)
    assert table["chrom"].to_list() == ["1", "1", "23"]
    assert table["pos"].dtype == pl.Int64
    assert table["ref"].to_list() == ["A", "C", "G"]
    assert table["label"].to_list() == [True, False, False]
    assert table["match_group"].to_list() == [0, 0, 1]
    assert [ids.tolist() for ids in allele_ids(table)] == [[A, C, G], [G, T, T]]


def test_label_is_optional(tmp_path):
    TABLE.drop("label", "consequence").write_csv(tmp_path / "t.csv")
    assert read_variants(tmp_path / "t.csv").columns == ["chrom", "pos", "ref", "alt"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pos": [3, 0, -1]}, r"row 2, column 'pos': '0' is below 1; .*\(2 such rows of 3\)"),
        ({"pos": ["3", "1e5", "2"]}, "row 2, column 'pos': '1e5' is not an integer"),
        ({"pos": ["3", "5", None]}, "row 3, column 'pos': None is not an integer"),
        ({"chrom": ["1", None, "X"]}, "row 2, column 'chrom': None is empty"),
        ({"ref": ["A", "CT", "G"]}, "row 2, column 'ref': 'CT' is not one of A, C, G, T; only si"),
        ({"alt": ["N", "T", "-"]}, r"row 1, column 'alt': 'N' is not.*\(2 such rows of 3\)"),
        ({"alt": ["G", None, "T"]}, "row 2, column 'alt': None is not one of"),
        ({"alt": ["G", "c", "T"]}, "row 2, column 'alt': 'c' is the same as ref"),
        ({"label": [1, 0, 2]}, "row 3, column 'label': '2' is neither 0 nor 1"),
        ({"label": ["1", None, "0"]}, "row 2, column 'label': None is neither"),
    ],
)
def test_bad_values_name_row_column_and_value(written, columns, message):
    with pytest.raises(UserError, match=rf"table.csv: {message}"):
        read_variants(written(**columns))


def test_repeated_variants_name_both_rows(tmp_path):
    path = tmp_path / "t.parquet"
    pl.concat([TABLE, TABLE[1:2], TABLE[0:1]]).write_parquet(path)
    with pytest.raises(UserError, match=r"row 4, .*: 1 5 C T is already in row 2 \(2 repeated"):
        read_variants(path)


def test_tables_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"none.tsv: no such file"):
        read_variants(tmp_path / "none.tsv")
    for name, content, message in (
        ("missing.csv", "chrom,pos,ref\n1,2,A\n", "no column 'alt'; .* chrom, pos, ref$"),
        ("empty.csv", "chrom,pos,ref,alt\n", "a header but no rows"),
        ("blank.csv", "", "cannot be read"),
        ("twice.csv", "chrom,pos,ref,alt,pos\n1,2,A,C,3\n", "column 'pos' is there twice"),
        ("ragged.csv", "chrom,pos,ref,alt\n1,2,A,C,9\n", "cannot be read"),
        ("calls.vcf", "#CHROM\n", r"expected .parquet, .tsv or .csv"),
        ("broken.parquet", "PAR1 and no more", "cannot be read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=rf"{name}: .*{message}") as caught:
            read_variants(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"chrom,pos,ref,alt\n" * 50)[:-12])
    with pytest.raises(UserError, match="cannot be read"):
        read_variants(tmp_path / "cut.csv.gz")


@pytest.fixture
def genome(tmp_path):
    (tmp_path / "g.fa").write_text(">1\nTTaCCG\n>chrX\nGGG\n")
    with Genome(tmp_path / "g.fa") as opened:
        yield opened


def test_check_reference_accepts_soft_masked_bases(genome):
    assert check_reference(TABLE[:2], genome).tolist() == [True, True]


def test_check_reference_counts_every_kind(genome):
    table = pl.DataFrame(
        {
            "chrom": ["1", "1", "1", "X", "chrX"],
            "pos": [3, 1, 7, 2, 3],
            "ref": ["A", "G", "A", "G", "G"],
            "alt": ["C", "A", "C", "A", "A"],
        }
    )
    fits = check_reference(table, genome, allow_mismatch=True)
    assert fits.tolist() == [True, False, False, False, True]
    with pytest.raises(
        UserError,
        match=r"t.csv: 3 of 5 variants do not fit .*g.fa \(1 on unknown contigs, 1 beyond the "
        r"contig's end, 1 with another reference base\); first, row 2: ref is G but 1:1 is T",
    ):
        check_reference(table, genome, source="t.csv")
    with pytest.raises(UserError, match="position 7 is beyond contig '1' of 6 bases"):
        check_reference(table[2:], genome)
    with pytest.raises(UserError, match=r"no contig 'X' \(but 'chrX'\)"):
        check_reference(table[3:], genome)


def test_the_yeast_table_fits_its_genome(yeast):
    table = read_variants(yeast / "variants.parquet")
    with Genome(yeast / "genome.fa") as genome:
        assert check_reference(table, genome).all()
        # One base off, about a quarter of the rows fit by chance.
        moved = table.with_columns(pos=pl.col("pos") + 1)
        fits = check_reference(moved, genome, allow_mismatch=True)
    assert 0.1 < np.mean(fits) < 0.5
