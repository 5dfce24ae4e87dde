"""A conversion as a command runs it: settings from a file, and words about what was done."""

import logging
from collections.abc import Sequence
from pathlib import Path


def run(path: str | Path, overrides: Sequence[str], *, quiet: bool = False) -> None:
    """Load settings, convert, and say what was done.

    Raises:
        UserError: as `settings.load` and `convert`.
    """
    from glm_composer.conversion.config import ConvertConfig
    from glm_composer.conversion.convert import convert
    from glm_composer.settings import load

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not quiet:
        logging.getLogger("glm_composer").setLevel(logging.INFO)
    out = convert(load(ConvertConfig, path, overrides), progress=not quiet)
    if not quiet:
        print(f"wrote {out}")
