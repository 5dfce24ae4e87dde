"""Every command of the README runs, in its order, as a reader would type it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
OTHERS = [command for command in COMMANDS if command not in MAKE]


def test_there_is_something_to_run():
    assert {"make demo", "make test"} <= set(MAKE)
    assert any(command.startswith("composer train.py") for command in OTHERS)


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_its_target(command):
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_files_it_links_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository, but with its own data and runs."""
    path = tmp_path_factory.mktemp("reader")
    for name in ("yamls", "convert", "train.py"):
        (path / name).symlink_to(REPOSITORY / name)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("command", OTHERS)
def test_command_runs(command, folder):
    bin_directory = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_directory}:{os.environ['PATH']}"}
    words = shlex.split(command)
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
