import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.genome import Genome
from glm_composer.variant_files.checks import PROBLEMS, row_problems

CONTIGS = {"1": "TTaCCG", "2": "GGNNRt"}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    with Genome(path) as opened:
        yield opened


def table_of(rows):
    schema = {"chrom": pl.String, "pos": pl.Int64, "ref": pl.String, "alt": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


# Row, problem with snv_only, problem without it.
CASES = [
    (("1", 3, "A", "G"), "", ""),
    (("1", 3, "A", "T"), "", ""),
    (("1", 3, "A", "G"), "duplicate", "duplicate"),
    (("1", 3, "A", "."), "no_alt", "no_alt"),
    (("1", 3, "A", "<DEL>"), "symbolic", "symbolic"),
    (("1", 3, "A", "A]2:1]"), "symbolic", "symbolic"),
    (("1", 3, "A", ".C"), "symbolic", "symbolic"),
    (("1", 3, "A", "*"), "bad_allele", "bad_allele"),
    (("1", 3, "A", "N"), "bad_allele", "bad_allele"),
    (("1", 3, ".", "C"), "bad_allele", "bad_allele"),
    (("2", 5, "R", "C"), "bad_allele", "bad_allele"),
    (("1", 3, "A", "A"), "same_allele", "same_allele"),
    (("1", 3, "AC", "A"), "not_snv", ""),
    (("1", 3, "A", "AC"), "not_snv", ""),
    (("1", 3, "AC", "GT"), "not_snv", ""),
    (("1", 3, "AT", "A"), "not_snv", "ref_mismatch"),
    (("1", 6, "GA", "G"), "not_snv", "outside"),
    (("1", 1, "TTACCG", "T"), "not_snv", ""),
    (("chr1", 3, "A", "G"), "unknown_contig", "unknown_contig"),
    (("1", 7, "A", "G"), "outside", "outside"),
    (("1", 0, "A", "G"), "outside", "outside"),
    (("1", -5, "A", "G"), "outside", "outside"),
    (("2", 3, "A", "G"), "n_at_site", "n_at_site"),
    (("2", 3, "N", "G"), "n_at_site", "n_at_site"),
    (("2", 5, "A", "G"), "n_at_site", "n_at_site"),
    (("1", 3, "N", "G"), "ref_mismatch", "ref_mismatch"),
    (("1", 3, "C", "G"), "ref_mismatch", "ref_mismatch"),
    (("2", 6, "T", "G"), "", ""),
]


def test_every_problem_by_hand(genome):
    table = table_of([row for row, _, _ in CASES])
    assert row_problems(table, genome).to_list() == [only for _, only, _ in CASES]
    assert row_problems(table, genome, snv_only=False).to_list() == [full for *_, full in CASES]
    assert {only for _, only, _ in CASES} == {"", *PROBLEMS}


def test_no_rows(genome):
    assert row_problems(table_of([]), genome).to_list() == []


def naive(row, earlier):
    chrom, pos, ref, alt = row
    if alt == ".":
        return "no_alt"
    if alt.startswith("<"):
        return "symbolic"
    if set(ref) - set("ACGTN") or set(alt) - set("ACGT"):
        return "bad_allele"
    if ref == alt:
        return "same_allele"
    if chrom not in CONTIGS:
        return "unknown_contig"
    bases = CONTIGS[chrom].upper()
    if pos < 1 or pos + len(ref) - 1 > len(bases):
        return "outside"
    found = bases[pos - 1 : pos - 1 + len(ref)]
    if set(found) - set("ACGT"):
        return "n_at_site"
    if found != ref:
        return "ref_mismatch"
    return "duplicate" if row in earlier else ""


alleles = st.sampled_from(["A", "C", "G", "T", "TT", "AC", "CCG", "N", "*", ".", "<DUP>", "R"])
a_row = st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(-1, 8), alleles, alleles)


@given(st.lists(a_row, max_size=40))
@settings(max_examples=60, deadline=None)
def test_all_rows_at_once_equal_one_by_one(genome, rows):
    expected = [naive(row, rows[:i]) for i, row in enumerate(rows)]
    assert row_problems(table_of(rows), genome, snv_only=False).to_list() == expected


def test_yeast_variants_are_fine_and_moved_ones_are_not(yeast):
    table = pl.read_parquet(yeast / "variants.parquet")
    with Genome(yeast / "genome.fa") as genome:
        assert (row_problems(table, genome) == "").all()
        moved = row_problems(table.with_columns(pos=pl.col("pos") + 1), genome)
    assert 0.5 < (moved == "ref_mismatch").mean() < 0.9
