"""A step's memory is used again instead of being asked of the system anew; in huge pages."""

import os
import subprocess
import sys
from pathlib import Path

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


HUGE = """
import re
from pathlib import Path
from glm_composer.training.allocator import ask_for_huge_pages
from glm_composer.training.composer_import import import_composer
ask_for_huge_pages()
import_composer()
import torch
tensor = torch.ones(1 << 22)
begins = tensor.data_ptr()
for mapping in re.split(r"\\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
    first, last = (int(end, 16) for end in mapping.split()[0].split("-"))
    if first <= begins + (1 << 22) < last:
        print("hg" in mapping.rpartition("VmFlags:")[2].split())
"""


def _huge(**environment: str) -> bool:
    command = [sys.executable, "-c", HUGE]
    unset = {key: value for key, value in os.environ.items() if not key.startswith("THP_")}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**unset, **environment}
    )
    return {"True": True, "False": False}[done.stdout.strip()]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a system without huge pages"
)
def test_tensors_made_once_composer_is_imported_ask_for_huge_pages():
    assert _huge()
    assert not _huge(THP_MEM_ALLOC_ENABLE="0")
