"""What the guides in docs/ say is there: commands parse, keys and files exist, examples run."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
import yaml

from glm_composer.cli import app
from glm_composer.config import Config
from glm_composer.conversion.config import ConvertConfig
from glm_composer.settings import load

REPOSITORY = Path(__file__).parents[1]
GUIDES = sorted((REPOSITORY / "docs").glob("*.md"))
PAGES = [*GUIDES, REPOSITORY / "README.md"]
BIN = Path(sys.executable).parent
RUN = "quickstart"
# Programs that take options of their own.
NOT_OURS = {"--node_rank", "--world_size", "--master_addr", "--master_port"}


def blocks(page: Path) -> list[str]:
    """Lines of code, indented by four or fenced, without comments."""
    text = page.read_text()
    fenced = [x for each in re.findall(r"```bash\n(.*?)```", text, re.S) for x in each.split("\n")]
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    joined = "\n".join(indented + fenced).replace("\\\n", " ")
    found = (re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in found if line]


def spans(page: Path) -> list[str]:
    """Code within sentences."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]


def glm_words(text: str) -> list[str] | None:
    """The words after `glm` of a command, or None where it is another."""
    found = re.search(r"(?:^|\s)glm (.*)", text)
    return shlex.split(found[1]) if found else None


def parse(words: list[str]) -> str | None:
    """What is wrong with the verb and the options of a command; None if nothing is."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words:
            # A sentence may speak of all of its verbs.
            return None if command.name != "glm" else "glm: which verb?"
        if words[0].startswith("-"):
            return None if words[:1] == ["--help"] else f"glm {command.name}: which verb?"
        name, *words = words
        if name not in command.commands:
            return f"{command.name}: no verb '{name}'"
        command = command.commands[name]
    known = {each for option in command.params for each in [*option.opts, *option.secondary_opts]}
    wrong = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"glm {command.name}: no option {wrong[0]}" if wrong else None


def keys(schema: Any, above: str = "") -> Iterator[str]:
    """Every key of a settings dataclass by dots, `*` for a name that the user gives."""
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key = f"{above}{field.name}"
        yield key
        registry = field.metadata.get("registry")
        each = field.metadata.get("registry_each")
        hint, below = hints[field.name], f"{key}."
        if typing.get_origin(hint) is dict:
            yield f"{key}.*"
            hint, below = typing.get_args(hint)[1], f"{key}.*."
        for name in (registry or each).names() if registry or each else ():
            yield f"{below}name"
            yield from keys((registry or each).settings(name), below)
        if dataclasses.is_dataclass(hint):
            yield from keys(hint, below)


@cache
def all_keys() -> set[str]:
    return {*keys(Config), *keys(ConvertConfig)}


def is_key(dotted: str) -> bool:
    """Whether a key is there as it stands, or within the section that a sentence names."""
    parts = dotted.split(".")
    named = {dotted} | {".".join([*parts[:i], "*", *parts[i + 1 :]]) for i in range(len(parts))}
    return bool(named & all_keys()) or any(key.endswith(f".{dotted}") for key in all_keys())


def test_what_is_wrong_would_be_found():
    """The checks themselves, on what must not pass."""
    assert "no verb 'scoer'" in str(parse(["scoer", "MODEL"]))
    assert "no option --genom" in str(parse(["score", "M", "V", "--genom", "F", "-o", "x"]))
    assert "no verb 'verfy'" in str(parse(["data", "verfy", "DIR"]))
    assert parse(["score", "M", "V", "--genome", "F", "-o", "x"]) is None
    for key in ("precison", "data.widnow", "evaluation.tables.mine.strand", "model.widht"):
        assert not is_key(key)
    for key in ("precision", "window", "evaluation.tables.mine.strands", "model.width"):
        assert is_key(key)
    assert len(all_keys()) > 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page):
    found = [words for text in [*blocks(page), *spans(page)] if (words := glm_words(text))]
    assert [wrong for words in found if (wrong := parse(words))] == []


def test_there_are_commands_to_parse():
    of = {page.name: [glm_words(x) for x in blocks(page) if glm_words(x)] for page in GUIDES}
    assert len(of["scoring.md"]) == 3
    assert len(of["regions.md"]) == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_sentences_exist(page):
    command = typer.main.get_command(app)
    known, left = set(NOT_OURS), [command]
    while left:
        each = left.pop()
        left += getattr(each, "commands", {}).values()
        known |= {
            name for option in each.params for name in [*option.opts, *option.secondary_opts]
        }
    named = {name for text in spans(page) for name in re.findall(r"(?<!\S)--[a-z][\w-]*", text)}
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_exist(page):
    code = [*blocks(page), *spans(page)]
    given = {key for text in code for key in re.findall(r"(?<!\S)([a-z_][a-z0-9_.]*)=\S", text)}
    given |= {m[1] for text in spans(page) if (m := re.match(r"([a-z_][a-z0-9_.]*): \S", text))}
    given |= {text for text in spans(page) if re.fullmatch(r"(data|evaluation)(\.[a-z_]+)+", text)}
    # What stands for any key, what is no key of a section, torch's, and a column of `glm runs`.
    others = {"key", "extends", "weights_only", "tag"}
    assert sorted(key for key in given - others if not is_key(key)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page):
    text = page.read_text()
    code = " ".join([*blocks(page), *spans(page)])
    named = set(
        re.findall(r"(?<![\w/])(?:yamls|tests|benchmarks|docs)/[\w/]+\.(?:yaml|py|md)", code)
    )
    named |= {f"yamls/{each}" for each in re.findall(r"`(gpn\w*\.yaml)`", text)}
    named |= {f"glm_composer/{each}" for each in re.findall(r"`(training/\w+\.py)`", text)}
    named |= set(re.findall(r"\((docs/[\w.]+)\)", text))
    here = page.parent.relative_to(REPOSITORY)
    named |= {str(here / each) for each in re.findall(r"\]\((\w[\w.]*)(?:#[\w-]+)?\)", text)}
    assert [each for each in sorted(named) if not (REPOSITORY / each).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets


TRAINING = [
    (page.name, shlex.split(line.partition("train.py ")[2].removesuffix("&")))
    for page in GUIDES
    for line in blocks(page)
    if "train.py yamls/" in line
]


@pytest.mark.parametrize(("page", "words"), TRAINING)
def test_settings_of_training_load(page, words, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    # A run of Composer's in this process may have left it.
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert load(Config, words[0], words[1:]).run_name


def test_the_table_of_ones_own_is_one(tmp_path):
    text = (REPOSITORY / "docs/traitgym.md").read_text()
    (section,) = re.findall(r"^    evaluation:\n(?:^     .*\n)+", text, flags=re.M)
    made = yaml.safe_load(section)
    made["extends"] = str(REPOSITORY / "yamls/quickstart.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(made))
    table = load(Config, tmp_path / "mine.yaml").evaluation.tables["mine"]
    assert table.scores == ["LLR.minus.score", "influence"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, yeast: Path) -> Path:
    """A reader's folder: the yeast data, a run of two batches under three names, tables."""
    path = tmp_path_factory.mktemp("reader")
    (path / "data").mkdir()
    (path / "data/yeast").symlink_to(yeast)
    small = ["max_duration=2ba", "model.width=16", "model.mlp_width=16", "model.conv_layers=2"]
    small += ["evaluation.tables.coding=null", "evaluation.baseline_windows=100"]
    small += ["data.eval_windows=16", "global_train_batch_size=4", "precision=fp32"]
    done = run(path, "glm", "train", str(REPOSITORY / "yamls/quickstart.yaml"), *small)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("a", "b"):
        shutil.copytree(path / "runs" / RUN, path / "runs" / name, symlinks=True)
    variants = pl.read_parquet(yeast / "variants.parquet")
    variants.filter(pl.col("match_group") < 6).write_parquet(path / "variants.parquet")
    measured = variants.select("chrom", "pos", "ref", "alt", LLR=1 / pl.col("pos"))
    measured = measured.with_columns(effect=pl.col("pos") % 17)
    measured.write_parquet(path / "measured.parquet")
    bed = "chr16\t100000\t100200\nchr01\t5000\t5200\n"
    for name in ("promoters.bed", "windows.bed"):
        (path / name).write_text(bed)
    return path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


EXAMPLES = [
    line
    for page in GUIDES
    if page.name in ("scoring.md", "regions.md")
    for line in blocks(page)
    if line.startswith("glm ")
]
MEANT = {
    "MODEL": f"runs/{RUN}",
    "VARIANTS": "variants.parquet",
    "FASTA": "data/yeast/genome.fa",
    # Of a region as long as the example's, a model of two batches says nothing more.
    "chr16:100001-100200": "chr16:100001-100020",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", EXAMPLES)
def test_example_runs(line, folder):
    words = [MEANT.get(word, word) for word in shlex.split(line)]
    done = run(folder, *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    if "-o" in words:
        assert (folder / words[words.index("-o") + 1]).exists()


@pytest.mark.slow
def test_a_run_is_scored_from_elsewhere(folder, yeast, tmp_path):
    """Its dataset is named relative to where it was trained, and its window is the dataset's."""
    words = ["glm", "score", str(folder / "runs" / RUN), str(folder / "variants.parquet")]
    words += ["--genome", str(yeast / "genome.fa"), "-o", "out.parquet", "--quiet"]
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    metadata = pl.read_parquet_metadata(tmp_path / "out.parquet")
    assert metadata["glm_composer.window"] == "512"
