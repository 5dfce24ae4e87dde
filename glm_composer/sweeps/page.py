"""A sweep as a page: the best first, and the metric against everything that was varied."""

from collections.abc import Sequence
from pathlib import Path

from glm_composer.report.blocks import facts, section, table
from glm_composer.report.document import document, replace_text
from glm_composer.report.markup import tag
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.results import header, rows

PAGE = "report.html"


def write_page(directory: Path, definition: Definition, trials: Sequence[Trial]) -> Path:
    """Write `report.html`, replacing an earlier one at once; return its path.

    Raises:
        UserError: it cannot be written.
    """
    path = directory / PAGE
    replace_text(path, page(definition, trials))
    return path


def page(definition: Definition, trials: Sequence[Trial]) -> str:
    """Return the page of a sweep, also of one that goes on."""
    return document(
        f"Sweep {definition.name}",
        tag("h1", f"Sweep {definition.name}"),
        facts([("yaml", str(definition.file)), ("metric", definition.metric)]),
        section(
            "Trials",
            table(header(definition), rows(definition, trials), words=2 + len(definition.keys)),
        ),
    )
