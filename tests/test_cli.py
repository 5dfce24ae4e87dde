"""The commands as a shell sees them."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
GLM = str(Path(sys.executable).with_name("glm"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


def test_help_answers_at_once():
    seconds = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(GLM, "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of the processor: a wall clock fails on a busy machine.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0
    assert all(
        verb in done.stdout for verb in ("convert", "train", "evaluate", "report", "config")
    )
    assert min(seconds) < 0.5


@pytest.mark.parametrize("module", ["glm_composer.cli", "glm_composer.sequence"])
def test_nothing_heavy_is_imported_for_help(module):
    heavy = "{'torch', 'composer', 'streaming', 'polars', 'sklearn', 'matplotlib', 'omegaconf'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_config_show_prints_what_it_resolved():
    done = run(GLM, "config", "show", "yamls/debug/fast.yaml", "model.width=64")
    assert done.returncode == 0
    assert "max_duration: 2ba" in done.stdout
    assert "width: 64" in done.stdout
    assert "reverse_complement: true" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            (GLM, "config", "show", "yamls/quickstart.yaml", "model.widht=64"),
            "unknown key 'model.widht'; did you mean 'model.width'?",
        ),
        ((GLM, "config", "show", "yamls/nowhere.yaml"), "yamls/nowhere.yaml: no such file"),
        (
            (GLM, "train", "yamls/quickstart.yaml", "global_train_batch_size=0"),
            "'global_train_batch_size' = 0: input should be greater than 0",
        ),
        (
            (GLM, "train", "yamls/quickstart.yaml", "data.path=data/no_such_set"),
            "data.path 'data/no_such_set': no dataset there",
        ),
        ((GLM, "evaluate", "runs/no_such_run"), "no such checkpoint"),
        ((GLM, "report", "runs/no_such_run"), "runs/no_such_run"),
        (
            (sys.executable, "convert/to_mds.py", "yamls/convert/yeast.yaml", "splits.train=3"),
            "yamls/convert/yeast.yaml: 'splits.train' = ",
        ),
    ],
)
def test_errors_are_one_line(command, message):
    done = run(*command)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_missing_data_names_the_command_that_makes_it(tmp_path):
    done = run(GLM, "train", "yamls/quickstart.yaml", f"data.path={tmp_path}/yeast")
    assert done.returncode == 2
    assert "python convert/to_mds.py yamls/convert/yeast.yaml" in done.stderr
