"""`glm plugins`: every registered name, what it is, and where its source lies."""

import difflib
import inspect
from dataclasses import dataclass

from glm_composer import __version__
from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.registry import REGISTRIES, Registry

BUILT_IN = f"glm-composer {__version__} (built-in)"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A registered name.

    Attributes:
        kind: as in `models`.
        name: as a yaml says it.
        package: it comes from, with its version.
        what: first line of its description; of a plugin that is not used, why.
        where: `file:line`; of a plugin that is not used, `module:function`.
        used: whether the name leads to it.
    """

    kind: str
    name: str
    package: str
    what: str
    where: str
    used: bool = True


def listed(registry: Registry) -> list[Listed]:
    """Return every name of a kind, also of plugins that are not used."""
    found = [
        Listed(
            kind=registry.kind,
            name=name,
            package=BUILT_IN if name in registry.built_in else registry.plugins[name].package,
            what=(inspect.getdoc(registry.get(name)) or "").partition("\n")[0],
            where=registry.where(name),
        )
        for name in registry.names()
    ]
    for name, plugin in registry.plugins.items():
        hidden = name in registry.built_in
        reason = None if hidden else registry.failure(name)
        if hidden or reason is not None:
            found.append(
                Listed(
                    kind=registry.kind,
                    name=name,
                    package=plugin.package,
                    what="not used: a built-in has that name" if hidden else f"failed: {reason}",
                    where=plugin.entry.value,
                    used=False,
                )
            )
    return sorted(found, key=lambda each: (each.name, not each.used))


def print_all(kind: str | None) -> None:
    """Print every name of a kind, or of all.

    Raises:
        UserError: there is no such kind.
    """
    if kind is not None and kind not in REGISTRIES:
        raise UserError(f"unknown kind '{kind}'; valid kinds: {', '.join(REGISTRIES)}")
    rows = [
        [each.kind, each.name, each.package, each.what]
        for registry in _registries(kind)
        for each in listed(registry)
    ]
    print_columns(["kind", "name", "package", "what"], rows, words=4)


def print_found(name: str) -> None:
    """Print what a name leads to, in every kind that has it.

    Raises:
        UserError: none has; the message names those that are near.
    """
    everything = [each for registry in _registries(None) for each in listed(registry)]
    found = [each for each in everything if each.name == name]
    if not found:
        near = difflib.get_close_matches(name, {each.name for each in everything})
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UserError(f"'{name}': no such name; {hint}`glm plugins ls` lists all")
    for each in found:
        print(f"{each.kind}: {each.name}, of {each.package}")
        print(f"  {each.where}")
        print(f"  {each.what}")


def _registries(kind: str | None) -> list[Registry]:
    wanted = [REGISTRIES[kind]] if kind else list(REGISTRIES.values())
    if REGISTRIES["callbacks"] in wanted:
        from glm_composer.training.composer_import import import_composer

        import_composer()
    return wanted
