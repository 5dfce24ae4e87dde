"""How two configurations differ, key by key."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glm_composer.config_tools.keys import written


@dataclass(frozen=True)
class Difference:
    """A key whose values differ.

    Attributes:
        key: dotted.
        left: in yaml's syntax; None where there is no such key.
        right: the same.
    """

    key: str
    left: str | None
    right: str | None


def differences(left: Any, right: Any) -> list[Difference]:
    """Compare two settings dataclasses, or nested dicts of them, by every value within.

    Returns:
        One difference a key, in the order of `left`, then what only `right` has.
    """
    ours, theirs = dict(_leaves(left)), dict(_leaves(right))
    return [
        Difference(".".join(key), ours.get(key), theirs.get(key))
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]


def _leaves(settings: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    nested = settings if isinstance(settings, Mapping) else dataclasses.asdict(settings)
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            for inner, leaf in _leaves(value):
                yield (str(key), *inner), leaf
        # An empty section has nothing that could differ; the other's keys are listed.
        elif not isinstance(value, Mapping):
            yield (str(key),), written(value)
