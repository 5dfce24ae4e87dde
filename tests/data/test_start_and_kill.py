"""Readers that are killed leave nothing behind, also two at once on one directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_twenty_cycles(split, tmp_path):
    script = Path(__file__).with_name("start_and_kill.py")
    done = subprocess.run(
        [sys.executable, script, str(split), "20"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("20 cycles of two readers; left behind: nothing\n")
