"""Types of single values in the settings of a run."""

import re
from typing import Annotated, Literal

from pydantic import StringConstraints

Precision = Literal["fp32", "amp_bf16", "pure_bf16"]
Interval = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ba|ep)$")]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ba|ep|sp|tok)$")]
Moment = Annotated[str, StringConstraints(pattern=r"^([0-9]+(ba|ep)|[0-9]*\.?[0-9]+dur)$")]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def check_plain(key: str, name: str) -> None:
    """Check a name under `key` that names files and metrics.

    Raises:
        ValueError: it is not a plain one.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{key}: '{name}' is not a plain name (letters, digits, . _ -)")
