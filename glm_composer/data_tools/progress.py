"""A bar on stderr for work over many windows."""

from collections.abc import Callable
from contextlib import AbstractContextManager

# Fewer are done before a bar could be read.
_WORTH_A_BAR = 500_000


def windows_bar(what: str, windows: int) -> AbstractContextManager[Callable[[int], None]]:
    """Give a function that moves a bar on by so many windows; for small totals none is shown."""
    from glm_composer.progress import progress_bar

    return progress_bar(what, windows, "windows", windows >= _WORTH_A_BAR)
