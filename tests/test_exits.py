"""What a user reads of an error, and the code that a command ends with."""

import errno
import os

import pytest

from glm_composer.errors import UserError
from glm_composer.exits import report_errors


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("a.yaml: no such key"), "error: a.yaml: no such key"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out"), "out: No space left"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG), "out"), "(ulimit -f)"),
    ],
)
def test_a_users_error_is_one_line_and_code_2(error, said, capsys):
    assert report_errors(lambda: failing(error)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_what_is_no_users_error_keeps_its_traceback():
    with pytest.raises(PermissionError):
        report_errors(lambda: failing(PermissionError(errno.EACCES, "denied")))
