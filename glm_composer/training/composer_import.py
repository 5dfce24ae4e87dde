"""Imports Composer without the large libraries that no run of ours uses.

Composer imports all of torchmetrics and all of its own algorithms, and these import transformers
(with scikit-learn and pandas), scipy and matplotlib wherever they are installed: half of the time
between a command and its first step, for text, audio and plotting metrics. Both also work where
those libraries are missing; so they are, until Composer is there. Later imports find them.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError

_UNUSED = ("transformers", "scipy", "matplotlib")


def import_composer() -> None:
    """Import Composer; call it before the first module that does so itself."""
    # Torch first: what it finds installed is its own affair.
    import torch  # noqa: F401

    with _hidden([name for name in _UNUSED if name not in sys.modules]):
        import composer.algorithms  # noqa: F401


@contextmanager
def _hidden(names: list[str]) -> Iterator[None]:
    """Let imports of packages fail, and torchmetrics believe that they are not installed."""
    # Torchmetrics asks this module, and it asks for the version of the package.
    from lightning_utilities.core import imports

    version = imports._version

    def version_of_visible(distribution_name: str) -> str:
        if distribution_name in names:
            raise PackageNotFoundError(distribution_name)
        return version(distribution_name)

    imports._version = version_of_visible
    # None is how Python itself marks a module that must not be imported.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        imports._version = version
        for name in names:
            del sys.modules[name]
