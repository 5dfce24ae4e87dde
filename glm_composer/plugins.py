"""Builders that installed packages offer through entry points of the group `glm_composer.KIND`."""

import traceback
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import catalogue


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A name that an installed package gives to a builder of its own.

    Attributes:
        name: what a `name:` in a yaml says.
        package: the package and its version, as `my-models 1.0`.
        entry: `module:function`, as the package declares it.
    """

    name: str
    package: str
    entry: EntryPoint


class PluginFailed(Exception):
    """A plugin's package cannot be imported, or lacks what it declares; says why in one line."""


def declared(kind: str) -> list[Plugin]:
    """Return the plugins of a kind, by name and package; nothing of theirs is imported."""
    # Read once, by catalogue: looking through all installed packages takes a moment.
    entries = catalogue.AVAILABLE_ENTRY_POINTS.select(group=f"glm_composer.{kind}")
    found = [Plugin(name=each.name, package=_package(each), entry=each) for each in entries]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.package))


def load(plugin: Plugin) -> Any:
    """Import a plugin's builder.

    Raises:
        PluginFailed: whatever its import raised, with the file and line that did.
    """
    try:
        builder = plugin.entry.load()
    # A script without a guard exits when it is imported.
    except (Exception, SystemExit) as error:
        raise PluginFailed(_one_line(error)) from error
    if not callable(builder):
        raise PluginFailed(f"{plugin.entry.value} is no function but {builder!r}")
    return builder


def _package(entry: EntryPoint) -> str:
    # Entry points that were read from a package know it.
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module


def _one_line(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        # The line that cannot be read runs nothing; Python names it by itself.
        where = f" ({error.filename}:{error.lineno})"
        error = SyntaxError(error.msg)
    return " ".join(f"{type(error).__name__}: {error}".split()) + where
