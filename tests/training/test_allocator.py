"""Freed memory is used again instead of being asked of the system at every step."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")

PROGRAM = """
import resource, sys, numpy as np
from glm_composer.training.allocator import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
def step():
    sizes = [1 << 20] * 64 + [48 << 20]
    blocks = [np.zeros(size, np.uint8) + 1 for size in sizes]
    return sum(int(block[-1]) for block in blocks)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    assert step() == 65
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str, **environment: str) -> tuple[str, int]:
    unset = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        check=True,
        capture_output=True,
        text=True,
        env={**unset, **environment},
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.slow
def test_steps_fault_no_pages_in_anew():
    kept, faults = _faults("keep")
    returned, more = _faults("default")
    assert (kept, returned) == ("True", "False")
    # Ten steps of 160 MB are 400,000 pages.
    assert faults < 20_000 < 100_000 < more


def test_the_users_own_settings_are_left():
    assert _faults("keep", MALLOC_ARENA_MAX="2")[0] == "False"
