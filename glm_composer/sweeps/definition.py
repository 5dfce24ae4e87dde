"""`sweep.json`: what a sweep varies and by what it is judged, so that a restart means the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from glm_composer.composition import compose
from glm_composer.errors import UserError
from glm_composer.report.document import replace_text
from glm_composer.sweeps.dimensions import Choice, Dimension, Range

FILE = "sweep.json"
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a sweep is.

    Attributes:
        name: of the sweep; its trials are called NAME-0001 and so on.
        file: the yaml they vary.
        fixed: overrides of every trial.
        dimensions: what is varied.
        search: `grid` for all combinations, `optuna` for proposals by what was found so far.
        metric: as in `metrics.jsonl`.
        direction: what is better.
        seed: of the proposals.
        base: the yaml with the fixed overrides, composed but not yet checked.
    """

    name: str
    file: Path
    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    search: Literal["grid", "optuna"]
    metric: str
    direction: Direction
    seed: int
    base: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        """What is varied, dotted."""
        return [dimension.key for dimension in self.dimensions]

    def overrides(self, values: dict[str, str]) -> list[str]:
        """Return what a trial adds to the yaml."""
        return [*self.fixed, *(f"{key}={value}" for key, value in values.items())]

    def better(self, value: float) -> float:
        """Return a value that is the lower the better, whatever the direction."""
        return value if self.direction == "minimize" else -value


def keep_definition(directory: Path, definition: Definition) -> None:
    """Write the definition of a new sweep; check that of one that goes on.

    A grid may get other values of the same keys: the combinations that are not there yet are
    added. Everything else must be as it was, or its trials could not be compared.

    Raises:
        UserError: what has changed since the sweep began.
    """
    path = directory / FILE
    now = _plain(definition)
    if not path.exists():
        replace_text(path, json.dumps(now, indent=2) + "\n")
        return
    before = _read(path)
    for key in ("search", "metric", "direction", "seed"):
        _compare(path, key, before.get(key), now[key])
    _compare(path, "swept keys", _keys(before), _keys(now))
    if definition.search != "grid":
        _compare(path, "dimensions", before.get("dimensions"), now["dimensions"])
    check_base(directory, definition)
    if before != now:
        replace_text(path, json.dumps(now, indent=2) + "\n")


def check_base(directory: Path, definition: Definition) -> None:
    """Check that the yaml still says what it said when the sweep began.

    Raises:
        UserError: the first key that does not.
    """
    path = directory / FILE
    before, now = _flat(_read(path)["base"]), _flat(base_of(definition.file, definition.fixed))
    for key in {**before, **now}:
        _compare(path, key, before.get(key), now.get(key))


def base_of(file: Path, fixed: Sequence[str]) -> dict[str, Any]:
    """Return a yaml with overrides, composed but not yet checked, as JSON gives it back."""
    composed: dict[str, Any] = json.loads(json.dumps(compose(file, fixed).raw, default=str))
    return composed


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        readable = isinstance(found["base"], dict) and bool(_keys(found))
    except (OSError, ValueError, TypeError, LookupError):
        readable = False
    if not readable:
        raise UserError(f"{path}: not what a sweep has written; restore it, or give a new --name")
    return dict(found)


def _compare(path: Path, key: str, before: Any, now: Any) -> None:
    if before != now:
        raise UserError(
            f"{path}: {key} was {before}, now {now}; go on as it began, or choose another --name"
        )


def _keys(definition: dict[str, Any]) -> list[str]:
    return [each["key"] for each in definition["dimensions"]]


def _plain(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "file": str(definition.file),
        "fixed": list(definition.fixed),
        "dimensions": [_dimension(each) for each in definition.dimensions],
        "search": definition.search,
        "metric": definition.metric,
        "direction": definition.direction,
        "seed": definition.seed,
        "base": definition.base,
    }


def _dimension(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        return {"key": dimension.key, "values": list(dimension.values)}
    assert isinstance(dimension, Range)
    return vars(dimension)


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat
