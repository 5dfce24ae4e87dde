"""Variant tables during training: what is logged and kept, and that nothing else changes."""

import hashlib
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from composer import Trainer

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import score_variants
from glm_composer.metrics_log import read_metrics
from glm_composer.models.digest import digest_of
from glm_composer.training.build import build_trainer
from glm_composer.training.tables import load_tables
from glm_composer.training.weights import read

LLR, L2 = "LLR.minus.score", "Embeddings.plus.euclidean_distance"
SHORT = ["max_duration=4ba", "scheduler={name: constant}"]


def fit(config: Config) -> Trainer:
    """Train a model whose steps draw random numbers."""
    trainer = build_trainer(config)
    network = trainer.state.model.model
    network.norm = torch.nn.Sequential(network.norm, torch.nn.Dropout(0.2))
    trainer.fit()
    trainer.close()
    return trainer


def logged(config: Config, name: str = "train/loss") -> dict[int, float]:
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    return {row["step"]: row[name] for row in rows if name in row}


@pytest.fixture
def scored(configure, yeast, traitgym):
    """Settings of a run with two tables: other intervals, chromosomes, widths and scores."""
    hub = f"variants: {traitgym}, dataset: mendelian_traits_matched_9, subset: proximal"
    first = f"{hub}, interval: 2ba, scores: [{LLR}, {L2}]"
    second = (
        f"variants: {yeast}/variants.parquet, interval: 3ba, chroms: [chr16], strands: forward"
    )
    rest = f"genome: {yeast}/genome.fa, batch_size: 100, window"
    tables = f"evaluation.tables={{two: {{{first}, {rest}: 33}}, one: {{{second}, {rest}: 16}}}}"
    return lambda *more: configure(tables, *SHORT, *more)


@pytest.mark.slow
def test_training_goes_on_as_if_nothing_had_been_scored(configure, scored, monkeypatch):
    plain = configure("run_name=plain", *SHORT)
    fit(plain)
    config = scored("run_name=scored")
    fit(config)
    assert logged(config) == logged(plain)
    # The negative control: scoring in training mode draws the random numbers of the next step.
    monkeypatch.setattr("glm_composer.training.scoring.evaluating", lambda model: torch.no_grad())
    careless = scored("run_name=careless")
    fit(careless)
    assert logged(careless) != logged(plain)


@pytest.mark.slow
def test_scores_are_kept_and_their_metrics_logged(scored):
    config = scored()
    model = fit(config).state.model
    variants = load_tables(config, 64)
    for name, chroms, steps, scores in (
        ("two", ["15", "16"], [2, 4], [LLR, L2]),
        ("one", ["chr16"], [3], [LLR]),
    ):
        assert list(logged(config, f"eval/{name}/auprc")) == steps
        folder = config.run_dir / "scores" / name
        assert {path.name for path in folder.iterdir()} == {f"ba{step}.parquet" for step in steps}
        table = variants[name].table.filter(pl.col("chrom").is_in(chroms))
        assert table["chrom"].unique(maintain_order=True).to_list() == chroms
        for step in steps:
            kept = pl.read_parquet(folder / f"ba{step}.parquet")
            assert kept.drop(scores).equals(table)
            for place, score in enumerate(scores):
                keys = [f"eval/{name}"] * (place == 0) + [f"eval/{name}/{score}"] * len(scores[1:])
                for metric, value in summarize(table, kept[score]).items():
                    found = [logged(config, f"{key}/{metric}").get(step) for key in keys]
                    # One chromosome has no spread, which is then not logged.
                    assert found == [value if math.isfinite(value) else None] * len(keys)
    about = pl.read_parquet_metadata(config.run_dir / "scores/two/ba2.parquet")
    assert about["model"] == "tiny/ba2"
    genome = Path(config.evaluation.tables["two"].genome)
    assert about["genome_sha256"] == hashlib.sha256(genome.read_bytes()).hexdigest()
    last = pl.read_parquet_metadata(config.run_dir / "scores/two/ba4.parquet")
    # As `glm score` names the checkpoint of that step.
    assert f"sha256:{last['model_sha256']}" == digest_of(read(config.run_dir).tensors)
    assert about["model_sha256"] != last["model_sha256"]

    # Row by row what the model of the last step says of the whole table at once.
    two = variants["two"]
    predictor = Predictor(model.embed, model.model.decoder, 64, causal=False)
    with evaluating(model):
        expected = score_variants(predictor, two.windows, two.ref, two.alt, [LLR, L2])
    kept = pl.read_parquet(config.run_dir / "scores/two/ba4.parquet")
    for score, values in expected.items():
        np.testing.assert_allclose(kept[score], values, rtol=1e-4, atol=1e-6)


def test_a_subset_is_taken_by_key_and_named_as_it_was(scored, yeast):
    found = load_tables(scored(), 64)["two"]
    whole = pl.read_parquet(yeast / "variants.parquet")
    expected = whole.filter(pl.col("match_group") % 3 == 0)
    assert found.table["pos"].equals(expected["pos"])
    assert found.table["chrom"].equals(expected["chrom"].str.strip_prefix("chr"))
    assert found.table["label"].sum() == len(expected) // 10
    # The windows are of that place: their centres are the reference bases.
    centres = found.windows[:, 33 // 2].tobytes().decode().upper()
    assert centres == "".join(expected["ref"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("two.contigs=nowhere.tsv", r"tables\.two: nowhere\.tsv: cannot be read as a table of c"),
        ("two.dataset=complex", r"tables\.two: .*complex/test\.parquet: no such file"),
        ("two.subset=distal", r"tables\.two: .*distal\.parquet: no such file; there is proximal"),
        ("two={subset: null, dataset: null}", r"tables\.two: .*TraitGym: a directory; say which"),
        ("one.variants=nowhere.parquet", r"tables\.one: nowhere\.parquet: no such file"),
        ("one.genome=nowhere.fa", r"tables\.one: nowhere\.fa: no such file"),
        (
            "one.genome_sha256=" + "ab" * 32,
            r"tables\.one: .*genome\.fa: SHA-256 is \w+, not ab",
        ),
        ("one.chroms=[chr1]", r"tables\.one: chroms: .* no variants on 'chr1'; it has chr15"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused_by_its_key(scored, change, message):
    with pytest.raises(UserError, match=message) as caught:
        load_tables(scored(f"evaluation.tables.{change}"), 64)
    assert "\n" not in str(caught.value)


def test_a_table_without_labels_is_refused(scored, yeast, tmp_path):
    pl.read_parquet(yeast / "variants.parquet").drop("label").write_parquet(tmp_path / "t.parquet")
    config = scored(f"evaluation.tables.one.variants={tmp_path}/t.parquet")
    with pytest.raises(UserError, match=r"tables\.one: .*t\.parquet: no column 'label'"):
        load_tables(config, 64)


@pytest.mark.slow
def test_match_groups_must_be_whole_where_they_are_measured(scored, yeast, tmp_path):
    rows = pl.read_parquet(yeast / "variants.parquet").with_row_index("row")
    first = rows.filter((pl.col("match_group") == 299) & ~pl.col("label")).row(0, named=True)
    changes = {
        "label": pl.col("label") & (pl.col("match_group") != 299),
        "chrom": pl.when(pl.col("row") == first["row"]).then(pl.lit("chr15")).otherwise("chrom"),
        "match_group": pl.when(pl.col("row") != 7).then("match_group"),
    }
    number = rows.filter(pl.col("match_group") == 299)["row"][0] + 1
    for column, message in (
        (
            "label",
            rf"one: .*t.parquet: match_group '299' \(row {number} is its first\) has no pos",
        ),
        ("match_group", r"one: .*t.parquet: row 8 has no match_group \(1 of 3000 rows"),
    ):
        rows.with_columns(changes[column].alias(column)).write_parquet(tmp_path / "t.parquet")
        table = f"evaluation.tables.one.variants={tmp_path}/t.parquet"
        with pytest.raises(UserError, match=message):
            load_tables(scored(table, "evaluation.tables.one.chroms=null"), 64)
    # A group that only the chosen chromosomes take apart.
    moved = rows.with_columns(chrom=changes["chrom"])
    moved.write_parquet(tmp_path / "t.parquet")
    some = ["chroms=[chr15]", "report_chroms=[chr16]", "allow_mismatch=true"]
    message = rf"one: chroms: .*'299' \(row {first['row'] + 1} is its first\) has no positive \(1 "
    with pytest.raises(UserError, match=message):
        load_tables(scored(table, *(f"evaluation.tables.one.{each}" for each in some)), 64)


def test_variants_that_are_left_out_are_counted(scored, yeast, tmp_path, caplog):
    table = pl.read_parquet(yeast / "variants.parquet")
    table.with_columns(
        pos=pl.when(pl.int_range(pl.len()) < 2).then(10**7).otherwise("pos")
    ).write_parquet(tmp_path / "t.parquet")
    changes = [f"variants={tmp_path}/t.parquet", "allow_mismatch=true"]
    config = scored(*(f"evaluation.tables.one.{change}" for change in changes))
    assert len(load_tables(config, 64)["one"]) == len(table) - 2
    assert f"2 of {len(table)} variants do not fit" in caplog.text
    assert "the first is row 1, chr15 10000000" in caplog.text


def test_a_home_that_cannot_be_written_to_is_no_error(scored, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "file"))
    assert len(load_tables(scored(), 64)) == 2


@pytest.mark.slow
def test_windows_of_a_big_genome_are_cut_once(scored, monkeypatch, tmp_path):
    config = scored()
    expected = load_tables(config, 64)
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("glm_composer.training.tables._BIG", 1)
    first = load_tables(config, 64)
    assert len(list((tmp_path / "cache/windows").glob("*.npz"))) == 2

    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("cut again")

    monkeypatch.setattr("glm_composer.training.tables.cut_windows", never)
    again = load_tables(config, 64)
    for name, table in expected.items():
        for other in (first[name], again[name]):
            assert other.table.equals(table.table)
            np.testing.assert_array_equal(other.windows, table.windows)
    # Another width is another cut.
    with pytest.raises(AssertionError, match="cut again"):
        load_tables(scored("evaluation.tables.one.window=17"), 64)
