"""`glm init`: the project installs, trains and tests as its README says."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.projects.project import write_project
from glm_composer.settings import load

REPOSITORY = Path(__file__).parents[2]


def test_a_project_is_whole_and_filled_in(tmp_path):
    from glm_composer.conversion.config import ConvertConfig

    directory = tmp_path / "my-genomes"
    files = write_project(directory)
    assert sorted(files) == sorted(
        each.relative_to(directory) for each in directory.rglob("*") if each.is_file()
    )
    assert {"README.md", ".gitignore", "my_genomes/model.py"} <= {str(each) for each in files}
    for each in files:
        assert "$" not in (directory / each).read_text(), each
        if each.suffix == ".py":
            compile((directory / each).read_text(), str(each), "exec")
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-genomes"
    assert project["entry-points"]["glm_composer.models"] == {
        "my_genomes": "my_genomes.model:build_model"
    }
    assert load(ConvertConfig, directory / "yamls/convert/yeast.yaml").out == "data/yeast"
    assert list(tmp_path.iterdir()) == [directory]


def test_an_empty_directory_is_filled_and_one_in_use_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    assert write_project(tmp_path / "empty")
    with pytest.raises(UserError, match="exists and is not empty"):
        write_project(tmp_path / "empty")


@pytest.mark.parametrize("name", ["Genomes", "1st", "a--b", "a b", "class", "torch", "json", "ä"])
def test_names_that_cannot_be_a_package_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"cannot name a project|is a name of Python's"):
        write_project(tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A virtual environment that sees this one's packages, and no network."""
    where = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where)], check=True)
    python = where / "bin" / "python"
    site = next((where / "lib").glob("python*/site-packages"))
    # Not just a path: this library's own editable install has to be found as well.
    packages = next(each for each in sys.path if each.endswith("site-packages"))
    (site / "outer.pth").write_text(f"import site; site.addsitedir({packages!r})\n")
    glm = where / "bin" / "glm"
    glm.write_text(f"#!{python}\nfrom glm_composer.cli import main\nmain()\n")
    glm.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{where / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        # pip reads the name as a flag and the value as its opposite: this switches isolation off.
        "PIP_NO_BUILD_ISOLATION": "0",
    }


def run(command: str, directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        shell=True,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_project_does_what_its_readme_says(tmp_path, environment, yeast):
    run("glm init my-genomes", tmp_path, environment)
    directory = tmp_path / "my-genomes"
    blocks = re.findall(r"```bash\n(.*?)```", (directory / "README.md").read_text(), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert [each.split()[1] for each in commands] == ["-m", "plugins", "convert", "train", "-m"]
    # Its runs in seconds; the rest of each command is as it is typed.
    short = " max_duration=2ba data.eval_windows=20 evaluation.baseline_windows=100"
    short += " evaluation.tables.coding.interval=2ba"
    said = {
        each: run(each + short * each.startswith("glm train"), directory, environment)
        for each in commands
    }
    found = said["glm plugins find my_genomes"]
    assert "models: my_genomes, of my-genomes 0.1.0" in found
    assert f"{directory}/my_genomes/model.py:" in found
    assert "my_genomes_surprise" in (directory / "runs/my-genomes/metrics.jsonl").read_text()
    assert (directory / "runs/my-genomes/report.html").exists()
    assert "3 passed" in said["python -m pytest"]
