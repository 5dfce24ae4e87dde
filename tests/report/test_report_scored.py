"""`glm metrics`: the files it writes say what the functions find, and nothing that is not so."""

import json
import re
import time
from html import unescape

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

from glm_composer.cli import main
from glm_composer.errors import UserError
from glm_composer.evaluation.figures import measure_all
from glm_composer.evaluation.metrics import measure, scored_rows
from glm_composer.evaluation.probe import probe
from glm_composer.evaluation.scored import read_scored
from glm_composer.report.command import metrics
from glm_composer.report.scored import page

LLR, L2 = "LLR.minus.score", "Embeddings.plus.euclidean_distance"


@pytest.fixture
def path(tmp_path, promoter_subset):
    path = tmp_path / "scores.parquet"
    promoter_subset().write_parquet(path, metadata={"genome_digest": "00ff", "model": "<b>bold"})
    return path


def text_of(html):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def test_the_figures_are_those_of_the_functions(path, capsys):
    report = metrics(path)
    assert report == path.with_suffix(".metrics") / "report.html"
    found = json.loads((report.parent / "metrics.json").read_text())
    table = pl.read_parquet(path)
    for name in (LLR, L2):
        expected = measure(scored_rows(table, table[name]))
        assert found["scores"][name] == {
            metric: {"value": each.value, "se": each.se} for metric, each in expected.items()
        }
    assert found["table"]["metadata"] == {"genome_digest": "00ff", "model": "<b>bold"}
    assert (found["table"]["rows"], found["table"]["positives"]) == (900, 90)
    # A stratum is its positives and the controls of their groups.
    stratum = next(s for s in found["strata"] if s["name"] == "PLS")
    groups = table.filter("label", consequence="PLS")["match_group"]
    part = table.filter(pl.col("match_group").is_in(groups.implode()))
    assert stratum["rows"] == len(part)
    assert stratum["scores"][LLR]["auprc"]["value"] == pytest.approx(
        average_precision_score(part["label"], part[LLR])
    )
    said = text_of(report.read_text())
    auprc = found["scores"][LLR]["auprc"]
    written = f"{auprc['value']:.3f} ± {auprc['se']:.3f}"
    assert written in said
    assert written in capsys.readouterr().out


def test_the_page_is_whole_in_itself(path):
    html = metrics(path).read_text()
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="', html)
    assert not re.search(r"\bnan\b", text_of(html).lower())
    assert "&lt;b&gt;bold" in html
    for heading in ("How well the scores rank", "Scores by label", "By consequence", "Provenance"):
        assert f"<h2>{heading}</h2>" in html


def test_published_figures_stand_only_beside_their_own_table(path, tmp_path):
    assert "0.577 ± 0.043" in metrics(path).read_text()
    other = tmp_path / "other.parquet"
    pl.read_parquet(path).filter(pl.col("match_group") != "PLS_0").write_parquet(other)
    html = metrics(other).read_text()
    assert "GPN-Animal-Promoter" not in html
    assert json.loads((tmp_path / "other.metrics/metrics.json").read_text())["published"] is None
    html = metrics(other, tmp_path / "asked", published="mendelian_promoter").read_text()
    assert "GPN-Animal-Promoter" in html
    assert "not that subset" in html
    assert "it has 890 rows instead of 900" in html
    assert (
        "GPN-Animal-Promoter" not in metrics(path, tmp_path / "off", published="none").read_text()
    )
    with pytest.raises(UserError, match="unknown benchmark 'evo'; valid names: none, mendelian"):
        metrics(path, tmp_path / "evo", published="evo")


def test_what_is_not_measured_says_why(path, tmp_path, capsys):
    part = tmp_path / "part.parquet"
    # A positive without a score is left out on purpose, and its group has none.
    scores = pl.when(pl.int_range(pl.len()) > 0).then(-pl.col(LLR)).alias(LLR)
    table = pl.read_parquet(path).with_columns(scores)
    few = pl.when(pl.col("match_group").str.ends_with("_5")).then(pl.lit("rare"))
    table.with_columns(consequence=few.otherwise("consequence")).write_parquet(part)
    report = metrics(part, leave_out_missing=True)
    said = text_of(report.read_text())
    why = "MRR, pairwise accuracy: match_group 'PLS_0' (row 1 is its first) has no positive"
    assert said.count(why) == 1
    assert "-LLR ranks controls above positives" in said
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Not measured: {why}" in printed
    assert "rare fewer than 10 positives and fewer than 10 controls 1 9" in said
    found = json.loads((report.parent / "metrics.json").read_text())
    assert found["scores"][LLR]["mrr"]["value"] is None
    assert "has no positive" in found["scores"][LLR]["mrr"]["reason"]
    rare = next(s for s in found["strata"] if s["name"] == "rare")
    assert (rare["positives"], rare["scores"]) == (1, {})


def test_a_measured_quantity_needs_no_labels(path, tmp_path):
    rng = np.random.default_rng(0)
    table = pl.read_parquet(path).with_columns(label=pl.Series(rng.normal(size=900)) + pl.col(LLR))
    table.write_parquet(tmp_path / "measured.parquet")
    report = metrics(tmp_path / "measured.parquet", quantity="label")
    found = json.loads((report.parent / "metrics.json").read_text())
    assert set(found["scores"][LLR]) == {"pearson", "spearman"}
    assert "AUPRC" not in text_of(report.read_text())
    with pytest.raises(UserError, match="no labels; 'complex_promoter' has published figures"):
        metrics(
            tmp_path / "measured.parquet",
            tmp_path / "beside",
            quantity="label",
            published="complex_promoter",
        )
    assert found["strata"][0]["scores"][LLR]["spearman"]["value"] > 0.5


@pytest.mark.slow
def test_a_probe_is_one_more_score(path, tmp_path):
    table = pl.read_parquet(path)
    values = np.column_stack([table[LLR], table[L2].log()])
    embeddings = tmp_path / "embeddings.parquet"
    pl.DataFrame({"embedding": values.tolist()}).write_parquet(embeddings)
    kept = table.filter(pl.col("chrom").cast(int) <= 6)
    kept.write_parquet(tmp_path / "few.parquet")
    rows = (table["chrom"].cast(int) <= 6).to_numpy()
    pl.DataFrame({"embedding": values[rows].tolist()}).write_parquet(embeddings)
    report = metrics(tmp_path / "few.parquet", embeddings=embeddings)
    found = json.loads((report.parent / "metrics.json").read_text())
    expected = probe(values[rows], kept["label"], kept["chrom"])
    assert found["scores"]["probe"]["auprc"]["value"] == pytest.approx(
        average_precision_score(kept["label"], expected)
    )
    assert "linear probe" in report.read_text()


def test_an_output_that_exists_is_kept(path):
    report = metrics(path)
    report.write_text("mine")
    with pytest.raises(UserError, match=r"metrics.json: exists; .* --overwrite"):
        metrics(path)
    assert report.read_text() == "mine"
    metrics(path, overwrite=True)
    assert "<html" in report.read_text()


def test_all_of_traitgym_takes_less_than_two_seconds(tmp_path, promoter_subset):
    path = tmp_path / "large.parquet"
    promoter_subset(1_140).drop(L2).write_parquet(path)
    start = time.process_time()
    scored = read_scored(path)
    figures = measure_all(scored)
    assert len(page(scored, figures)) > 10_000
    assert time.process_time() - start < 2
    assert len(scored.table) == 11_400
    assert all(found for part, found in figures.strata if not part.reason)


def test_the_verb(path, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["metrics", str(path), "--score", LLR, "-o", str(tmp_path / "out")])
    assert not done.value.code
    assert f"report: {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(found["scores"]) == [LLR]
    with pytest.raises(SystemExit) as done:
        main(["metrics", str(tmp_path / "none.parquet")])
    assert done.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.parquet'}: no such file\n"
