"""`tags.json`: words that people give to a run, kept in its directory.

What is not in a run's directory does not outlive the index.
"""

import json
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.runs.folder import write_whole

TAGS = "tags.json"


def read_tags(run_dir: Path) -> list[str]:
    """Read a run's tags, in alphabetical order; none if there is no file.

    Raises:
        UserError: the file is damaged or cannot be read.
    """
    path = run_dir / TAGS
    try:
        tags = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it and tag again") from None
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise UserError(f"{path}: no list of words; remove it and tag again")
    return sorted(tags)


def change_tags(run_dir: Path, tags: list[str], *, remove: bool) -> list[str]:
    """Give tags to a run, or take them away; whoever calls this keeps others from doing so.

    Returns:
        The run's tags now.

    Raises:
        UserError: a tag is no plain word, or the file is damaged or cannot be written.
    """
    # Settings take longer to import than a listing of runs to print.
    from glm_composer.config.values import check_plain

    for tag in tags:
        try:
            check_plain("tag", tag)
        except ValueError as error:
            raise UserError(str(error)) from None
    before = set(read_tags(run_dir))
    after = sorted(before - set(tags) if remove else before | set(tags))
    try:
        write_whole(run_dir / TAGS, json.dumps(after) + "\n")
    except OSError as error:
        raise UserError(f"{run_dir / TAGS}: cannot be written: {error.strerror}") from None
    return after
