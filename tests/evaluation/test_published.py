import polars as pl
import pytest

from glm_composer.evaluation.published import BENCHMARKS, misfits, recognise


def test_the_subsets_are_recognised_by_columns_and_counts(promoter_subset):
    mendelian = promoter_subset()
    assert recognise(mendelian) == "mendelian_promoter"
    assert recognise(mendelian.sample(fraction=1.0, shuffle=True, seed=0)) == "mendelian_promoter"
    complex_traits = promoter_subset(105).drop("OMIM").with_columns(pip=pl.lit(0.95))
    assert recognise(complex_traits) == "complex_promoter"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop("OMIM"), "it has no column 'OMIM'"),
        (lambda t: t.head(899), "it has 899 rows instead of 900"),
        (
            lambda t: t.with_columns(label=pl.col("label") & (pl.col("chrom") != "3")),
            "positives instead of 90",
        ),
        (
            lambda t: t.with_columns(tss_dist=pl.col("tss_dist") + 500),
            "not all of its positives are within 1,000 bp",
        ),
        (
            lambda t: t.with_columns(match_group=pl.lit("one")),
            "not all of its groups are a positive and 9 controls",
        ),
    ],
)
def test_any_other_table_is_not(promoter_subset, change, told):
    table = change(promoter_subset())
    assert recognise(table) is None
    assert told in "; ".join(misfits(table, BENCHMARKS["mendelian_promoter"]))


def test_the_published_figures_are_those_of_the_reference_document():
    found = {
        name: {(f.model, f.score): f.auprc for f in benchmark.figures}
        for name, benchmark in BENCHMARKS.items()
    }
    assert found == {
        "mendelian_promoter": {
            ("GPN-Animal-Promoter", "-LLR"): 0.577,
            ("GPN-Animal-Promoter", "L2"): 0.644,
            ("Evo 2 40B", "-LLR"): 0.609,
            ("Evo 2 40B", "L2"): 0.503,
            ("CADD", "RawScore"): 0.736,
        },
        "complex_promoter": {
            ("GPN-Animal-Promoter", "|LLR|"): 0.112,
            ("GPN-Animal-Promoter", "L2"): 0.170,
            ("Evo 2 40B", "|LLR|"): 0.170,
            ("Evo 2 40B", "L2"): 0.192,
            ("CADD", "RawScore"): 0.263,
        },
    }
