"""`glm config`: lists, chains, checks, differences and the page of keys, on the shipped files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glm_composer.cli import main
from glm_composer.config import Config
from glm_composer.config_tools import docs
from glm_composer.config_tools.keys import keys
from glm_composer.conversion.config import ConvertConfig
from glm_composer.registry import REGISTRIES
from glm_composer.settings import dump, load

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def glm(capsys, monkeypatch):
    """Runs `glm config ...` in the repository; (exit code, output)."""
    monkeypatch.chdir(REPOSITORY)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["config", *map(str, arguments)])
        printed = capsys.readouterr()
        return end.value.code, printed.out + printed.err

    return run


@pytest.fixture
def folder(tmp_path):
    """Two sound files, three broken ones, and what is no yaml file."""
    shutil.copytree(REPOSITORY / "yamls/rope", tmp_path / "rope")
    (tmp_path / "sound.yaml").write_text("\n# Small   one.\nextends: rope/tiny.yaml\n")
    (tmp_path / "bare.yml").write_text("extends: rope/tiny.yaml\n# no description\n")
    (tmp_path / "misspelt.yaml").write_text("# Wrong.\nextends: rope/tiny.yaml\nsede: 3\n")
    (tmp_path / "orphan.yaml").write_text("# Lost.\nextends: away.yaml\n")
    (tmp_path / "heads.yaml").write_text("extends: rope/tiny.yaml\nmodel: {heads: 3}\n")
    (tmp_path / ".hidden.yaml").write_text("no: yaml\n")
    (tmp_path / "notes.txt").write_text("no yaml")
    return tmp_path


def test_ls_says_what_each_is_for_and_what_is_broken(glm, folder):
    code, text = glm("ls", folder)
    assert code == 1
    rows = {line.split()[0]: line.split(maxsplit=1)[1:] for line in text.splitlines()[1:]}
    assert [Path(name).name for name in rows] == [
        "bare.yml",
        "heads.yaml",
        "misspelt.yaml",
        "orphan.yaml",
        "sound.yaml",
    ]
    assert rows[f"{folder}/sound.yaml"] == ["Small   one."]
    assert rows[f"{folder}/bare.yml"] == []
    assert "BROKEN: unknown key 'sede'; did you mean 'seed'?" in text
    assert f"BROKEN: {folder}/away.yaml: no such file" in text
    assert "BROKEN: model: heads (3) must divide width (256)" in text
    starts = {line.find(words) for line in text.splitlines() for words in ("BROKEN", "Small")}
    assert len(starts - {-1}) == 1  # one column


def test_ls_of_the_shipped_files(glm):
    code, text = glm("ls")
    assert code == 0
    assert "yamls/quickstart.yaml             Quick start: a small model" in text
    assert "rope" not in text
    code, text = glm("ls", "-r", "yamls/convert")
    assert code == 0
    assert "yamls/convert/yeast.yaml " in text


def test_a_link_to_nothing_is_listed_as_broken(glm, tmp_path):
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "away.yaml")
    code, text = glm("ls", tmp_path)
    assert code == 1
    assert re.search(r"gone\.yaml +BROKEN: no such file", text)


def test_ls_where_there_is_nothing(glm, tmp_path):
    (tmp_path / "deep").mkdir()
    assert glm("ls", tmp_path)[0] == 2
    assert "no such directory" in glm("ls", tmp_path / "away")[1]


def test_tree_shows_the_chain(glm, folder):
    (folder / "list.yaml").write_text("extends: [rope/small.yaml, sound.yaml]\n")
    code, text = glm("tree", folder / "list.yaml")
    assert code == 0
    names = [(len(line) - len(line.lstrip()), line.split()[0]) for line in text.splitlines()[1:]]
    assert names == [
        (0, f"{folder}/list.yaml"),
        (2, f"{folder}/rope/small.yaml"),
        (4, f"{folder}/rope/base.yaml"),
        (2, f"{folder}/sound.yaml"),
        (4, f"{folder}/rope/tiny.yaml"),
        (6, f"{folder}/rope/base.yaml"),
    ]
    (folder / "rope/base.yaml").write_text("extends: tiny.yaml")
    code, text = glm("tree", folder / "list.yaml")
    assert (code, "extends itself" in text) == (2, True)


def test_check_builds_what_is_sound_and_names_what_fails(glm, folder):
    (folder / "warm.yaml").write_text("extends: sound.yaml\ncallbacks: {away: {}}\n")
    # These resolve, and do not build.
    (folder / "units.yaml").write_text("extends: sound.yaml\nscheduler: {warmup: 5tok}\n")
    (folder / "strides.yaml").write_text(
        "name: n\nout: o\nsource: {name: package, genome: yeast}\n"
        "windows: {name: tiles, stride: {left: 5}}\nsplits: {train: ['*']}\n"
    )
    code, text = glm("check", folder)
    assert code == 1
    assert re.search(r"sound\.yaml +training +transformer +3,414,272 +builds", text)
    assert re.search(r"rope/large\.yaml +training +transformer +303,630,336 +builds", text)
    assert re.search(r"misspelt\.yaml .* FAILS: unknown key 'sede'", text)
    assert re.search(r"warm\.yaml .* FAILS: 'callbacks.away.name': unknown name 'away'", text)
    assert re.search(r"units\.yaml .* FAILS: scheduler\.warmup \(5tok\) and max_duration", text)
    assert re.search(r"strides\.yaml .* FAILS: 'windows\.stride' names left", text)
    assert "12 files, 6 fail" in text
    # A long error leaves the table what it is.
    starts = {line.find(words) for line in text.splitlines() for words in ("  builds", "  FAILS")}
    assert len(starts - {-1}) == 1


@pytest.mark.slow
def test_check_takes_no_memory_for_weights(tmp_path):
    # 12 billion parameters, 48 GB.
    (tmp_path / "huge.yaml").write_text(
        "run_name: huge\ndata: {path: d}\n"
        "model: {name: transformer, width: 8192, layers: 20, heads: 64, mlp_width: 16384}\n"
    )
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30));"
        "from pathlib import Path; from glm_composer.config_tools.check import check;"
        "print(check(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "huge.yaml"], capture_output=True, text=True
    )
    assert "error=None" in done.stdout, done.stdout + done.stderr
    assert int(re.search(r"parameters=(\d+)", done.stdout)[1]) > 10**10


def test_check_of_the_shipped_files(glm):
    code, text = glm("check")
    assert code == 0
    lines = text.splitlines()
    assert lines[-1] == f"{len(list((REPOSITORY / 'yamls').rglob('*.yaml')))} files, all build"
    assert re.search(r"gpn_promoter\.yaml +training +bytenet +152,189,952 +builds", text)
    assert re.search(r"convert/yeast\.yaml +conversion +package -> tiles +builds", text)


def test_diff_names_every_key_and_no_other(glm, tmp_path):
    code, text = glm("diff", "yamls/rope/base.yaml", "yamls/rope/tiny.yaml")
    assert code == 0
    left, right = (
        yaml.safe_load(dump(load(Config, REPOSITORY / f"yamls/rope/{size}.yaml")))
        for size in ("base", "tiny")
    )
    expected = [
        f"{section}.{key}" if section else key
        for section in ("", "model", "optimizer")
        for key, value in (left[section] if section else left).items()
        if not isinstance(value, dict) and value != (right[section] if section else right).get(key)
    ]
    assert [line.split()[0] for line in text.splitlines()[1:]] == expected
    assert re.search(r"model\.width +768 +256$", text, re.MULTILINE)
    assert glm("diff", "yamls/quickstart.yaml", "yamls/quickstart.yaml")[1] == "no difference\n"
    code, text = glm("diff", "yamls/quickstart.yaml", "yamls/convert/yeast.yaml")
    assert (code, "one is a training run, the other a conversion" in text) == (2, True)
    text = glm("diff", "yamls/quickstart.yaml", "yamls/learning/bytenet.yaml")[1]
    assert re.search(r"^model\.heads +1$", text, re.MULTILINE)
    assert re.search(r"^model\.first_kernel +9$", text, re.MULTILINE)


def test_show_is_what_load_reads(glm):
    plain = glm("show", "yamls/debug/fast.yaml", "model.width=64")[1]
    assert plain == dump(load(Config, REPOSITORY / "yamls/debug/fast.yaml", ["model.width=64"]))
    code, text = glm("show", "yamls/debug/fast.yaml", "model.width=64", "--origin")
    assert code == 0
    assert yaml.safe_load(text) == yaml.safe_load(plain)
    for line in (
        r"max_duration: 2ba +# yamls/debug/fast\.yaml:4",
        r"  width: 64 +# override model\.width=64",
        r"  name: muon +# yamls/quickstart\.yaml:35",
        r"    # without coding +# yamls/debug/fast\.yaml:\d+",
        r"seed: 17 +# default",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), line
    conversion = glm("show", "yamls/convert/yeast.yaml")[1]
    assert conversion == dump(load(ConvertConfig, REPOSITORY / "yamls/convert/yeast.yaml"))


@pytest.mark.slow
def test_the_page_of_keys_is_current(glm, tmp_path):
    # In a process of its own: tests register builders.
    words = ["-m", "glm_composer", "config", "docs", "docs/configuration.md", "--check"]
    assert subprocess.run([sys.executable, *words], cwd=REPOSITORY).returncode == 0
    page = tmp_path / "page.md"
    assert glm("docs", page)[0] == 0
    assert page.read_text() == docs.page()
    assert glm("docs", page, "--check")[0] == 0
    page.write_text(page.read_text().replace("`17`", "`18`"))
    assert glm("docs", page, "--check")[0] == 1
    assert glm("docs", tmp_path / "away.md", "--check")[0] == 1


def test_every_key_of_every_builder_is_on_the_page_with_a_meaning():
    page = docs.page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for kind, prefix in {
        "models": "model",
        "objectives": "objective",
        "optimizers": "optimizer",
        "schedules": "scheduler",
        "callbacks": "callbacks.LABEL",
        "sources": "source",
        "windowings": "windows",
    }.items():
        for name in REGISTRIES[kind].built_in:
            section = page.partition(f"## `{prefix}`: `name: {name}`\n")[2].partition("\n## ")[0]
            for key in keys(REGISTRIES[kind].settings(name)):
                assert f"| `{prefix}.{key.name}` | " in section, (kind, name, key.name)
    assert [row for row in rows if row.endswith("|  |")] == []


def test_units_and_types_in_words():
    found = {key.name: key for key in keys(Config)}
    assert found["save_interval"].unit == "`ba` or `ep`"
    assert found["global_train_batch_size"].unit == "windows"
    assert found["seed"].type == "integer >= 0 and < 18446744073709551616"
    assert found["run_name"].default == "required"
    assert found["device_train_microbatch_size"].type == "integer > 0 or `auto` or `null`"


@pytest.mark.slow
def test_looking_needs_no_composer():
    code = (
        "import sys; from glm_composer.cli import report_errors, app;"
        "from contextlib import suppress\n"
        "for words in (['show', 'yamls/debug/profile.yaml'], ['ls', '-r'], ['check'],"
        " ['tree', 'yamls/debug/fast.yaml']):\n"
        "  with suppress(SystemExit): app(['config', *words])\n"
        "assert 'composer' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "profiler:" in done.stdout
