"""Starts a command on two ranks of this machine, as `composer` does for its users."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def on_two_ranks(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run SCRIPT ARGUMENTS... in the repository, one thread a rank; wait for its end."""
    return subprocess.run(
        [Path(sys.executable).with_name("composer"), "-n", "2", *command],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
