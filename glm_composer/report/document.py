"""A page around its content, and a file replaced at once: no script, no address outside it."""

import os
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.report.markup import Child, Markup, tag
from glm_composer.report.style import STYLE

# Enforces what a page promises: nothing is fetched, nothing runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, *content: Child) -> str:
    """Return a whole HTML page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - glm_composer"),
        tag("style", Markup(STYLE)),
    )
    body = tag("body", tag("main", *content))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def replace_text(path: Path, text: str) -> None:
    """Write a file aside and rename it.

    Raises:
        UserError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}; check space and permissions"
        ) from None
