"""Reads `metrics.jsonl`; apart from the logger that writes it, whose imports take seconds."""

import json
from pathlib import Path
from typing import Any

from glm_composer.errors import UserError


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics file's objects, in order; a last line cut short by a crash is left out.

    Each holds `step` and any number of metrics by name. Values may be NaN.

    Raises:
        UserError: the file cannot be read, or a whole line of it is not such an object.
    """
    try:
        lines = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    rows = []
    # What follows the last line break is empty, or the line a crash cut short.
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: not JSON ({error}); remove the line to go on"
            ) from None
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise UserError(f"{path}, line {number}: no object with a 'step'; remove the line")
        rows.append(row)
    return rows
