"""Which exception is which end: real ones of the system and of torch, not look-alikes."""

import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from glm_composer.errors import UserError
from glm_composer.runs.reasons import CODES, FINISHED, Reason, RunEnds, end_of


def raised(function) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        function()
    return caught.value


def fail(error: BaseException) -> None:
    raise error


def test_every_reason_has_its_code():
    assert set(CODES) == set(get_args(Reason))
    assert (CODES["signal"], CODES["requested"], CODES["aborted"]) == (75, 76, 77)
    assert (CODES["out_of_memory"], CODES["lost_rank"], CODES["stuck_rank"]) == (78, 79, 79)
    assert [reason for reason, code in CODES.items() if code == 0] == ["finished"]


def test_every_reason_and_its_code_are_told():
    page = Path(__file__).parents[2] / "docs/jobs.md"
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page.read_text(), re.MULTILINE)
    assert {reason: int(code) for code, reason in rows} == CODES


def test_a_torch_tensor_that_does_not_fit_is_out_of_memory():
    end = end_of(raised(lambda: torch.empty(2**60, dtype=torch.uint8)))
    assert (end.reason, end.code, end.state) == ("out_of_memory", 78, "failed")


def test_memory_that_python_does_not_get_is_out_of_memory():
    assert end_of(raised(lambda: bytearray(2**62))).reason == "out_of_memory"


def test_a_cuda_device_without_memory_is_out_of_memory():
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert end_of(error).reason == "out_of_memory"


def test_a_file_that_does_not_fit_is_a_full_disk(tmp_path):
    # In a process of its own: a limit once lowered stays.
    code = (
        "import resource, signal\n"
        "from glm_composer.runs.reasons import end_of\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "file = open('x', 'wb', buffering=0)\n"
        "file.write(b'y' * 10)\n"
        "try: file.write(b'z')\n"
        "except OSError as error: print(end_of(error).reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "disk_full\n", done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10


def test_a_full_disk_says_what_to_do():
    for file, place in (("scores.parquet", "scores.parquet"), (None, "disk")):
        message = end_of(OSError(errno.ENOSPC, "No space left on device", file)).message
        assert message.startswith(f"{place}: No space left on device; make room")


def test_a_user_error_that_a_full_disk_caused_is_a_full_disk():
    def explain() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")
        except OSError as error:
            raise UserError(f"file: cannot be written: {error.strerror}") from None

    end = end_of(raised(explain))
    assert (end.reason, end.message) == (
        "disk_full",
        "file: cannot be written: No space left on device",
    )


def test_other_errors_are_what_they_are():
    bad = end_of(UserError("data.path: missing"))
    assert (bad.reason, bad.message, bad.code) == ("bad_input", "data.path: missing", 2)
    end = end_of(raised(lambda: fail(KeyError("x"))))
    assert (end.reason, end.message, end.code, end.state) == (
        "error",
        "KeyError: 'x'",
        1,
        "failed",
    )
    assert end_of(raised(lambda: os.stat("/nowhere/at all"))).reason == "error"
    assert end_of(RuntimeError("mat1 and mat2 shapes differ\nat line 2")).message == (
        "RuntimeError: mat1 and mat2 shapes differ"
    )
    assert end_of(AssertionError()).message == "AssertionError"
    assert end_of(KeyboardInterrupt()).code == 130


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("requested", "stopped"),
        ("signal", "stopped"),
        ("aborted", "stopped"),
        ("bad_loss", "failed"),
    ],
)
def test_a_run_that_ends_itself_says_why(reason, state):
    end = end_of(RunEnds(reason, "saved"))
    assert (end.reason, end.message, end.code, end.state) == (
        reason,
        "saved",
        CODES[reason],
        state,
    )
    assert end_of(RunEnds("signal", "again", code=143)).code == 143
    assert FINISHED.state == "finished"
