"""A conversion as a command runs it: settings from a file, and words about what was done."""

import logging
from collections.abc import Sequence
from pathlib import Path

from glm_composer.errors import UserError


def run(
    path: str | Path, overrides: Sequence[str], *, quiet: bool = False, merge_only: bool = False
) -> None:
    """Load settings, convert, and say what was done.

    Args:
        path: the yaml file.
        overrides: `key=value` strings.
        quiet: errors only.
        merge_only: put finished parts together, and make none.

    Raises:
        UserError: as `settings.load` and `convert`.
    """
    from glm_composer.conversion.config import ConvertConfig
    from glm_composer.conversion.convert import convert
    from glm_composer.settings import load

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not quiet:
        logging.getLogger("glm_composer").setLevel(logging.INFO)
    config = load(ConvertConfig, path, overrides)
    if merge_only and config.part is not None:
        raise UserError("'part' is for `glm convert`; merging puts all slices together")
    out = convert(config, progress=not quiet, merge_only=merge_only)
    if not quiet and config.part is not None:
        print(f"slice {config.part} is done; after the last: glm data merge {path}")
    elif not quiet:
        print(f"wrote {out}")
