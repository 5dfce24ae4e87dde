"""A schema with every kind of section, for tests of composition: all its values are integers."""

from dataclasses import dataclass, field
from typing import Any

from glm_composer.registry import Registry
from glm_composer.settings import named, named_each

parts = Registry("parts_for_tests")


@dataclass(frozen=True, kw_only=True)
class Circle:
    name: str = "circle"
    radius: int = -1
    colour: int = -2


@dataclass(frozen=True, kw_only=True)
class Square:
    name: str = "square"
    side: int = -3
    colour: int = -4


@parts.register("circle")
def build_circle(settings: Circle) -> None: ...


@parts.register("square")
def build_square(settings: Square) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Ink:
    drops: int = -5
    tins: int = -6


@dataclass(frozen=True, kw_only=True)
class Frame:
    wood: int = -7
    ink: Ink = field(default_factory=Ink)


@dataclass(frozen=True, kw_only=True)
class Picture:
    copies: int = -8
    pages: int = -9
    tags: list[int] = field(default_factory=lambda: [-10])
    margin: dict[str, int] = field(default_factory=lambda: {"left": -11})
    frame: Frame = field(default_factory=Frame)
    inks: dict[str, Ink] = field(default_factory=dict)
    main: Any = named(parts, "circle")
    more: dict[str, Any] = named_each(parts)
