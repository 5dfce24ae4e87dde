"""The verbs of `glm runs` over small runs, as a shell calls them."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from run_folders import write_run

from glm_composer.cli import app
from glm_composer.conversion.files import locked
from glm_composer.errors import UserError

GLM = str(Path(sys.executable).with_name("glm"))
AUPRC = "eval/yeast/auprc"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    parent = tmp_path / "runs"
    days = {"base": 1, "wide": 3, "broken": 2, "gone": 4}
    scores = {"base": [0.2, 0.5, 0.4], "wide": [0.1, 0.3, 0.45], "broken": [0.3], "gone": []}
    states = {"broken": {"state": "failed", "reason": "bad_loss"}, "gone": {"state": "training"}}
    for name, day in days.items():
        metrics = [{AUPRC: x, f"{AUPRC}_se": 0.01, "validation/loss": 2 - x} for x in scores[name]]
        started = {"started": f"2026-11-0{day}T00:00:00+00:00"}
        status = {**started, **states.get(name, {})}
        model = "bytenet" if name == "wide" else "transformer"
        write_run(parent, name, metrics, status=status, model=model, lr=1e-3 * day)
    return parent


def glm(*arguments: str | Path) -> None:
    app([str(each) for each in arguments], standalone_mode=False)


@pytest.fixture
def ask(runs, capsys):
    """Calls `glm runs ...` and gives what it prints, by line."""

    def call(*arguments: str | Path) -> list[str]:
        capsys.readouterr()
        glm("runs", *arguments, "--runs-dir", runs)
        return capsys.readouterr().out.splitlines()

    return call


def test_ls_is_aligned_and_newest_first(ask):
    assert ask("ls", "--columns", f"name,state,model.name,step,optimizer.lr,{AUPRC}") == [
        "run     state     model        step  optimizer.lr  eval/yeast/auprc",
        "gone    dead      transformer     3        0.0040                 -",
        "wide    finished  bytenet         3        0.0030            0.4500",
        "broken  failed    transformer     3        0.0020            0.3000",
        "base    finished  transformer     3        0.0010            0.4000",
    ]
    usual = [line.split() for line in ask("ls")]
    assert usual[0] == [
        *["run", "state", "model", "step", "done", "age", AUPRC, "validation/loss"]
    ]
    assert usual[3][:4] == ["broken", "failed:", "bad_loss", "transformer"]


def test_ls_filters_sorts_limits_and_says_all_as_json(ask):
    wanted = ("--where", f"model.name=transformer and {AUPRC}>0.2", "--sort", AUPRC)
    assert [line.split()[0] for line in ask("ls", *wanted)] == ["run", "base", "broken"]
    assert [line.split()[0] for line in ask("ls", *wanted, "-r", "-n", "1")] == ["run", "broken"]
    found = json.loads("\n".join(ask("ls", *wanted, "--json")))
    assert [each["name"] for each in found] == ["base", "broken"]
    assert (found[0][AUPRC], found[0]["model.attention"]) == (0.4, '["local", "global"]')
    assert found[1]["reason"] == "bad_loss"
    with pytest.raises(UserError, match=r"did you mean 'model\.name'"):
        ask("ls", "--where", "model.nam=x")
    with pytest.raises(UserError, match=r"--sort: no run has 'sed'; did you mean 'seed'\?"):
        ask("ls", "--sort", "sed")


LISTING = """
import sys
from glm_composer.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"numpy", "polars", "pydantic", "torch"}
    print("heavy:", *sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "heavy"),
    [
        ([], 0, ""),
        (["--columns", "name", "--where", "seed=1", "--sort", "seed", "-r"], 0, ""),
        (["-n", "1"], 0, " pydantic"),
        (["-n", "0"], 2, " pydantic"),
        (["-n", "one"], 2, " pydantic"),
    ],
)
def test_a_listing_imports_nothing_heavy(runs, arguments, code, heavy):
    command = [sys.executable, "-c", LISTING, "runs", "ls", "--runs-dir", str(runs), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == f"heavy:{heavy}"
    assert ("Invalid value for '--limit'" in done.stderr) == (code == 2)


def test_best_ranks_by_last_values(ask):
    rows = [line.split() for line in ask("best", "--metric", AUPRC)[1:]]
    assert [(row[0], row[-4], row[-3], row[-2], row[-1]) for row in rows] == [
        ("wide", "0.45", "3", "0.45", "3"),
        ("base", "0.4", "3", "0.5", "2"),
        ("broken", "0.3", "1", "0.3", "1"),
    ]
    # A loss is the better the lower.
    assert ask("best", "--metric", "validation/loss")[1].startswith("wide")
    assert ask("best", "--metric", AUPRC, "--direction", "minimize")[1].startswith("broken")
    with pytest.raises(UserError, match="no run chosen has a number"):
        ask("best", "--metric", "model.name")


def test_diff_says_what_differs_and_nothing_else(ask, runs):
    environment = {"packages": {"torch": "2.7.0", "numpy": "2.1"}, "cores": 2, "git_commit": "abc"}
    (runs / "base/environment.json").write_text(json.dumps(environment))
    environment |= {"packages": {"torch": "2.6.0", "numpy": "2.1"}, "cores": 2}
    (runs / "wide/environment.json").write_text(json.dumps(environment))
    (runs / "wide/changes.patch").write_text("--- a/x\n+++ b/x\n-1\n+2\n")
    lines = [line.split() for line in ask("diff", "base", "wide")]
    table = lines[: lines.index(next(line for line in lines if line[:1] == ["whether"]))]
    assert table[1:] == [
        ["settings", "model.name", "transformer", "bytenet"],
        ["settings", "optimizer.lr", "0.001", "0.003"],
        ["code", "changes", "none", "2", "changed", "lines"],
        ["packages", "torch", "2.7.0", "2.6.0"],
    ]
    assert [AUPRC, "0.4", "0.45", "+0.05"] in lines
    assert ask("diff", "base", "base")[0] == "the records are the same"


def test_show_tag_and_names_by_directory(ask, runs):
    assert ask("tag", runs / "base", "paper", "best") == ["base: best, paper"]
    assert ask("tag", "base", "--remove", "best") == ["base: paper"]
    assert [line.split()[0] for line in ask("ls", "--where", "tag=paper")] == ["run", "base"]
    shown = ask("show", f"{runs / 'base'}/")
    assert "tags:        paper" in shown
    figures = next(line.split() for line in shown if line.split()[:1] == [AUPRC])
    assert figures[1:] == ["0.4", "3", "0.2", "1", "0.5", "2"]
    with pytest.raises(UserError, match="no run 'bass'; did you mean 'base'"):
        ask("show", "bass")
    with pytest.raises(UserError, match="not a plain name"):
        ask("tag", "base", "two words")


def test_export_holds_a_row_a_run(ask, runs, tmp_path):
    ask("export", "-o", tmp_path / "runs.parquet")
    frame = pl.read_parquet(tmp_path / "runs.parquet").sort("name")
    assert frame["name"].to_list() == ["base", "broken", "gone", "wide"]
    assert frame[AUPRC].to_list() == [0.4, 0.3, None, 0.45]
    assert (frame["seed"].dtype, frame["model.name"].dtype) == (pl.Int64, pl.String)
    assert frame["state"].to_list() == ["finished", "failed", "dead", "finished"]
    ask("export", "-o", tmp_path / "runs.csv", "--where", "name=base")
    assert pl.read_csv(tmp_path / "runs.csv")["optimizer.lr"].to_list() == [0.001]
    with pytest.raises(UserError, match=r"\.parquet or \.csv"):
        ask("export", "-o", tmp_path / "runs.xls")


def test_plot_draws_every_run(ask, tmp_path):
    out = tmp_path / "auprc.svg"
    ask("plot", AUPRC, "base", "wide", "-o", out)
    first = out.read_text()
    ask("plot", AUPRC, "base", "wide", "-o", out)
    assert out.read_text() == first
    ask("plot", AUPRC, "base", "-o", out)
    assert len(out.read_text()) < len(first)
    ask("plot", AUPRC, "base", "-o", tmp_path / "auprc.png")
    assert (tmp_path / "auprc.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"gone/metrics\.jsonl: no value of"):
        ask("plot", AUPRC, "base", "gone", "-o", out)


def test_prune_removes_what_it_showed_and_nothing_else(ask, runs):
    dry = ask("prune", "--dry-run")
    assert [line.split()[0] for line in dry[1:-1]] == ["gone", "broken"]
    with pytest.raises(UserError, match="nobody to ask"):
        ask("prune")
    everything = ("prune", "--where", "step>=0", "--yes")
    ask("tag", "broken", "keep")
    alive = json.loads((runs / "gone/status.json").read_text()) | {
        "heartbeat": "2999-01-01T00:00:00+00:00"
    }
    write_run(runs, "gone", status=alive)
    # Somebody starts it again while the others are removed.
    # And an earlier call was killed.
    (runs / ".old.1.removed/checkpoints").mkdir(parents=True)
    (runs / ".notes.removed").mkdir()
    (runs / ".linked.2.removed").symlink_to(runs / ".notes.removed")
    with locked(runs / "base/.lock", shared=False, taken="taken"):
        assert ask(*everything)[-1].startswith("removed 1 run,")
    others = [".linked.2.removed", ".notes.removed"]
    kept = [*others, "base", "broken", "gone"]
    assert sorted(p.name for p in runs.iterdir() if p.is_dir()) == kept
    assert [line.split()[0] for line in ask("ls")] == ["run", "gone", "broken", "base"]


def test_prune_keeps_the_best(ask, runs):
    ask("prune", "--keep-best", "1", "--metric", AUPRC, "--yes")
    assert sorted(p.name for p in runs.iterdir() if p.is_dir()) == ["wide"]
    with pytest.raises(UserError, match="go together"):
        ask("prune", "--keep-best", "1")


def test_report_of_several_is_one_page(ask, runs, tmp_path):
    page = tmp_path / "page.html"
    ask("report", "base", "wide", "gone", "-o", page)
    text = page.read_text()
    assert all(f"<summary>{name}</summary>" in text for name in ("base", "wide", "gone"))
    assert AUPRC in text
    assert "<script" not in text
    assert "dead" in text
    ask("report", "base")
    assert (runs / "base/report.html").exists()


def test_nothing_heavy_is_imported_for_a_listing(runs):
    heavy = "{'torch', 'composer', 'streaming', 'polars', 'matplotlib', 'omegaconf'}"
    arguments = ["runs", "ls", "--runs-dir", str(runs), "--where", "model.name=bytenet"]
    code = f"""
import sys
from glm_composer.cli import app
app({arguments}, standalone_mode=False)
print(sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.splitlines()[1].startswith("wide")
