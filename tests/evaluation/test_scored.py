import gzip

import numpy as np
import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.evaluation.embedding_file import read_embeddings
from glm_composer.evaluation.figures import measure_all
from glm_composer.evaluation.scored import add_score, read_scored
from glm_composer.evaluation.variants import read_variants

SCORES = ["LLR.minus.score", "Embeddings.plus.euclidean_distance"]


@pytest.fixture
def write(tmp_path, promoter_subset):
    """Writes the subset, changed, and returns the path."""

    def save(change=lambda t: t, name="scores.parquet"):
        path = tmp_path / name
        change(promoter_subset()).write_parquet(path, metadata={"genome_digest": "00ff"})
        return path

    return save


def test_scores_are_told_from_what_a_table_has_anyway(write):
    scored = read_scored(write(lambda t: t.with_columns(pip=pl.lit(0.5), maf=pl.lit(0.1))))
    assert scored.scores == SCORES
    assert scored.labelled
    assert scored.metadata == {"genome_digest": "00ff"}
    assert read_scored(write(), ["tss_dist"]).scores == ["tss_dist"]
    # A file of `glm score` names its scores; a table may have carried others before.
    path = write()
    stated = {"glm_composer.scores": f'["{SCORES[1]}", "gone"]'}
    pl.read_parquet(path).write_parquet(path, metadata=stated)
    assert read_scored(path).scores == SCORES[1:]
    assert len(scored.sha256) == 64


def test_text_is_read_as_parquet_is(write, tmp_path):
    expected = read_scored(write()).table
    as_text = expected.with_columns(pl.col("label").cast(pl.Int8))
    as_words = expected.with_columns(
        label=pl.when("label").then(pl.lit("True")).otherwise(pl.lit("False"))
    )
    zipped = tmp_path / "scores.tsv.gz"
    zipped.write_bytes(gzip.compress(as_text.write_csv(separator="\t").encode()))
    (tmp_path / "scores.csv").write_text(as_words.write_csv())
    for path in (zipped, tmp_path / "scores.csv"):
        found = read_scored(path).table
        assert found.columns == expected.columns
        assert found.select("chrom", "pos", "label", *SCORES).equals(
            expected.select("chrom", "pos", "label", *SCORES)
        )


def test_numbers_in_text_keep_their_zeros(write, tmp_path):
    table = read_scored(write()).table.with_columns(
        pl.col("label").cast(pl.Int8), id=pl.lit("007")
    )
    (tmp_path / "named.csv").write_text(table.write_csv())
    assert read_scored(tmp_path / "named.csv").table["id"].unique().to_list() == ["007"]
    assert read_variants(tmp_path / "named.csv")["id"].unique().to_list() == ["007"]


def test_rows_without_a_score_are_refused_or_left_out_and_counted(write):
    row = pl.int_range(pl.len())
    path = write(
        lambda t: t.with_columns(
            pl.when(row != 4).then(SCORES[0]).alias(SCORES[0]),
            pl.when(row == 6).then(np.nan).otherwise(SCORES[1]).alias(SCORES[1]),
        )
    )
    with pytest.raises(UserError, match=r"row 5 has LLR.minus.score None \(1 of 900"):
        read_scored(path)
    scored = read_scored(path, leave_out_missing=True)
    assert (len(scored.table), scored.left_out) == (898, 2)
    with pytest.raises(UserError, match=r"2 rows were left out, so that embeddings are not"):
        read_embeddings(path, scored)


def test_a_repeated_variant_without_a_score_is_left_out(write):
    """As `glm score --allow-mismatch` writes it."""
    place = pl.int_range(pl.len())
    path = write(
        lambda t: pl.concat([t, t.slice(2, 1)]).with_columns(
            pl.when(place < len(t)).then(SCORES[0]).alias(SCORES[0])
        )
    )
    scored = read_scored(path, leave_out_missing=True)
    assert (len(scored.table), scored.left_out) == (900, 1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.drop("label"), {}, r"no column 'label' \(0/1\).*--quantity"),
        (
            lambda t: t.with_columns(label=pl.int_range(pl.len()) % 3),
            {},
            r"row 3 has label 2 \(300 of 900 rows are not 0/1\); .*--quantity label",
        ),
        (lambda t: t.with_columns(label=pl.lit(None, pl.Boolean)), {}, "row 1 has label None"),
        (
            lambda t: t.with_columns(match_group=pl.lit(None, pl.String)),
            {},
            r"row 1 has match_group None \(900 of 900 rows are like that\); fill it or leave",
        ),
        (
            lambda t: t.with_columns(pl.col("label") & (pl.col("match_group") != "PLS_14")),
            {"leave_out_missing": True},
            r"match_group 'PLS_14' \(row \d+ is its first\) has no positive \(1 of 90 groups have "
            r"none\); mend the groups, or rename the column",
        ),
        (
            lambda t: t.filter(~((pl.col("match_group") == "PLS_14") & ~pl.col("label"))),
            {},
            r"match_group 'PLS_14' \(row \d+ is its first\) has no control",
        ),
        (lambda t: t.filter("label"), {}, "90 positives among 90 variants"),
        (lambda t: t, {"scores": ["llr"]}, "no column 'llr'; columns: chrom, pos"),
        (lambda t: t, {"scores": ["consequence"]}, "'consequence' holds String, not numbers"),
        (lambda t: t.drop(SCORES), {}, "no score column; name one with --score"),
        (lambda t: t.head(0), {}, "a header but no rows"),
        (lambda t: pl.concat([t, t.slice(2, 1)]), {}, r"row 901 repeats the variant 1:1002:A:G"),
        (
            lambda t: t.with_columns(pl.lit(np.inf).alias(SCORES[0])),
            {"leave_out_missing": True},
            r"row 1 has LLR.minus.score inf \(900 of 900",
        ),
        (
            lambda t: t.with_columns(effect=pl.lit(None, pl.Float64)),
            {"quantity": "effect"},
            "row 1 has effect None",
        ),
    ],
)
def test_what_is_wrong_is_named(write, change, options, message):
    with pytest.raises(UserError, match=message):
        read_scored(write(change), **options)


def test_match_groups_may_be_taken_apart_by_rows_without_a_score(write):
    """Left out on purpose, they cost the metrics within groups, with a reason, and no others."""
    no_score = pl.col("label") & (pl.col("match_group") == "PLS_14")
    path = write(lambda t: t.with_columns(pl.when(~no_score).then(SCORES[0]).alias(SCORES[0])))
    scored = read_scored(path, leave_out_missing=True)
    assert scored.left_out == 1
    found = measure_all(scored).scores[SCORES[0]]
    assert "'PLS_14'" in found["mrr"]
    assert "'PLS_14'" in found["pairwise_accuracy"]
    assert found["auprc"].value > 0.2
    # Nor do groups matter where there is nothing to rank, or where they go by another name.
    broken = write(lambda t: t.filter(~no_score).with_columns(effect=pl.col(SCORES[1])))
    with pytest.raises(UserError, match="'PLS_14'"):
        read_scored(broken)
    measured = read_scored(broken, [SCORES[0]], quantity="label")
    assert measure_all(measured).scores[SCORES[0]].keys() == {"spearman", "pearson"}
    pl.read_parquet(broken).rename({"match_group": "group"}).write_parquet(broken)
    assert "mrr" not in measure_all(read_scored(broken)).scores[SCORES[0]]


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    for name, message in (
        ("none.parquet", "no such file"),
        ("a.parquet", "cannot be read as a table"),
        ("a.txt", "expected .parquet"),
    ):
        with pytest.raises(UserError, match=message):
            read_scored(tmp_path / name)


def test_embeddings_must_be_of_the_same_rows(write, tmp_path):
    scored = read_scored(write())
    path = tmp_path / "embeddings.parquet"
    values = np.arange(1_800.0).reshape(900, 2)
    key, row = scored.table.select("chrom", "pos"), pl.int_range(pl.len())

    def save(table):
        table.write_parquet(path)
        return path

    good = key.with_columns(embedding=pl.Series(values.tolist()))
    np.testing.assert_array_equal(read_embeddings(save(good), scored), values)
    as_array = good.with_columns(pl.col("embedding").cast(pl.Array(pl.Float32, 2)))
    np.testing.assert_array_equal(read_embeddings(save(as_array), scored), values)
    with pytest.raises(UserError, match=r"899 rows, but .* has 900"):
        read_embeddings(save(good.head(899)), scored)
    with pytest.raises(UserError, match=r"row 2 has pos \d+, but"):
        read_embeddings(
            save(good.with_columns(pl.col("pos") + pl.Series([0] + [1] * 899))), scored
        )
    short = good.with_columns(embedding=pl.when(row == 7).then([1.0]).otherwise("embedding"))
    with pytest.raises(UserError, match="row 8 has 1 numbers, row 1 has 2"):
        read_embeddings(save(short), scored)
    with pytest.raises(UserError, match="no column 'embedding' of lists"):
        read_embeddings(save(key), scored)


def test_a_score_is_added_once(write):
    scored = add_score(read_scored(write()), "probe", np.arange(900.0))
    assert scored.scores == [*SCORES, "probe"]
    assert scored.table["probe"][899] == 899
    with pytest.raises(UserError, match="a column 'probe' already"):
        add_score(scored, "probe", np.arange(900.0))
