"""Prints the Python of an environment with gpn 0.9.0, made on first use in the cache directory.

gpn needs Python 3.13 and another transformers than ours, so it cannot live in .venv. Exits with 1
and a line that says why where it cannot be made: no Python 3.13, or no registry.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from glm_composer.cache_directory import cache_directory

# With our torch, so that two sides differ in nothing else.
REQUIREMENTS = ["gpn[train]==0.9.0", "torch==2.7.0"]


def find_python() -> str | None:
    """A Python 3.13 that runs; version managers leave shims that do not."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    installed = sorted(pyenv.glob("versions/3.13*/bin/python3.13"))
    for candidate in (shutil.which("python3.13"), *map(str, installed)):
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True).returncode:
            return candidate
    return None


def make(directory: Path) -> None:
    """Make the environment; a mark in it says that it is whole."""
    python = find_python()
    if python is None:
        sys.exit("no Python 3.13 found, which gpn needs")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--python", str(directory / "bin/python")]
    shutil.rmtree(directory, ignore_errors=True)
    for command in (
        [uv, "venv", "--quiet", "--python", python, str(directory)],
        [*install, *REQUIREMENTS],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            sys.exit(f"{uv}: {error.strerror}")
        if done.returncode:
            sys.exit(f"gpn cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    (directory / ".ready").touch()


def main() -> None:
    """Print the path of that Python."""
    directory = cache_directory() / "gpn-0.9.0"
    if not (directory / ".ready").exists():
        make(directory)
    print(directory / "bin/python")


if __name__ == "__main__":
    main()
