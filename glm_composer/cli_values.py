"""Values of options without pydantic, where they need no conversion.

typer 0.29 gives every value to pydantic, whose import takes longer than `glm --help`; a listing of
ten thousand runs would spend a third of its time on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer import core


@dataclass(frozen=True)
class _AsNeeded:
    """How the values of a parameter are converted.

    Attributes:
        theirs: makes typer's own way, which imports pydantic.
    """

    theirs: Callable[[], Any]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return what a verb is given; typer calls this."""
        descriptor: Any = getattr(param, "type_descriptor", None)
        kind = getattr(descriptor, "annotation", None)
        if param.nargs == 1 and not param.multiple:
            # Nothing given, or a default.
            if value is None or (isinstance(kind, type) and type(value) is kind):
                return value
            if kind is Path and isinstance(value, str) and not descriptor.parameter_info.exists:
                return Path(value)
        return self.theirs().coerce(value, param=param, ctx=ctx)


@cache
def spare_pydantic() -> None:
    """Let typer import pydantic for values that need it; other versions of typer stay as is."""
    parameter: Any = getattr(core, "_TyperParameter", None)
    theirs = getattr(parameter, "get_runtime_param", None)
    if theirs is not None:
        parameter.get_runtime_param = lambda self: _AsNeeded(lambda: theirs(self))
