"""The command line of a conversion: `python convert/to_mds.py YAML key=value ...`.

Only the standard library is imported here, so that `--help` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a conversion from command-line arguments.

    Args:
        arguments: without the program's name; those of the process where None.

    Returns:
        The exit status: 0, 2 after a user's error (one line on stderr), 130 after an interrupt.
    """
    parser = argparse.ArgumentParser(
        prog="to_mds.py", description="Convert a genome into windows in MDS shards."
    )
    parser.add_argument("yaml", help="settings, for instance yamls/convert/yeast.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--quiet", action="store_true", help="errors only, no progress bar")
    parsed = parser.parse_args(arguments)

    from glm_composer.errors import UserError

    try:
        run(parsed.yaml, parsed.overrides, quiet=parsed.quiet)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was kept", file=sys.stderr)
        return 130
    return 0


def run(path: str, overrides: Sequence[str], *, quiet: bool = False) -> None:
    """Load settings, convert, and say what was done.

    Raises:
        UserError: as `settings.load` and `convert`.
    """
    import logging

    from glm_composer.conversion.config import ConvertConfig
    from glm_composer.conversion.convert import convert
    from glm_composer.settings import load

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not quiet:
        logging.getLogger("glm_composer").setLevel(logging.INFO)
    out = convert(load(ConvertConfig, path, overrides), progress=not quiet)
    if not quiet:
        print(f"wrote {out}")
