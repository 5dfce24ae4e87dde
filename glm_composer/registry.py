"""Named builders: what a `name:` in a yaml may say, and which function answers to it.

A builder is a function whose first parameter is annotated with the dataclass of its own settings,
which has a field `name`; that annotation is how a configuration section finds its schema. Kinds
that have no settings say below what their builders take.
Built-ins register themselves with a decorator and are found by importing the modules of their
package, so adding one is adding a file. Third parties declare an entry point in the group
`glm_composer.KIND` (for instance `glm_composer.models`). A built-in wins over a plugin of the same
name, and a plugin that cannot be imported is left out; either is said once.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import logging
import pkgutil
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

import catalogue

from glm_composer.errors import UserError
from glm_composer.plugins import Plugin, PluginFailed, declared, load

_LOG = logging.getLogger(__name__)
Builder = TypeVar("Builder", bound=Callable[..., Any])


class Registry:
    """The builders of one kind.

    Args:
        kind: what is built, plural, as in `models`; also names the entry-point group.
        modules: dotted names of the modules or packages whose import registers the built-ins.
    """

    def __init__(self, kind: str, *modules: str):
        self.kind = kind
        self._modules = modules
        self._catalogue = catalogue.create("glm_composer", kind)
        self._imported: dict[str, Callable[..., Any]] = {}
        self._failed: dict[str, str] = {}
        self._said: set[str] = set()

    def register(self, name: str) -> Callable[[Builder], Builder]:
        """Return a decorator that makes a function the built-in builder called `name`."""

        def add(builder: Builder) -> Builder:
            self._catalogue.register(name, func=builder)
            return builder

        return add

    @cached_property
    def built_in(self) -> dict[str, Callable[..., Any]]:
        """The library's own builders by name."""
        for module in self._modules:
            package = importlib.import_module(module)
            for child in pkgutil.iter_modules(getattr(package, "__path__", [])):
                importlib.import_module(f"{module}.{child.name}")
        return self._catalogue.get_all()

    @cached_property
    def plugins(self) -> dict[str, Plugin]:
        """Plugins by name, also those behind a built-in, and those that cannot be imported."""
        found: dict[str, Plugin] = {}
        for plugin in declared(self.kind):
            first = found.setdefault(plugin.name, plugin)
            if first is not plugin:
                self._say(
                    f"{plugin.name} of {plugin.package}",
                    f"{self.kind}: '{plugin.name}' of {plugin.package} is not used: "
                    f"{first.package} has one of that name; uninstall one of them",
                )
            elif plugin.name in self.built_in:
                self._say(
                    plugin.name,
                    f"{self.kind}: '{plugin.name}' of {plugin.package} is not used: a built-in "
                    "has that name; rename the plugin",
                )
        return found

    def names(self) -> list[str]:
        """Return every name that `get` accepts, built-in or from a plugin, sorted."""
        plugins = [name for name in self.plugins if name not in self.built_in]
        for name in plugins:
            reason = self.failure(name)
            if reason is not None:
                package = self.plugins[name].package
                self._say(
                    name, f"{self.kind}: '{name}' of {package} is left out, it failed: {reason}"
                )
        return sorted([*self.built_in, *(name for name in plugins if name not in self._failed)])

    def failure(self, name: str) -> str | None:
        """Return why the plugin called `name` cannot be imported; None if it can."""
        if name not in self._imported and name not in self._failed:
            try:
                self._imported[name] = load(self.plugins[name])
            except PluginFailed as error:
                self._failed[name] = str(error)
        return self._failed.get(name)

    def get(self, name: str) -> Callable[..., Any]:
        """Return the builder called `name`.

        Raises:
            UserError: nothing answers to that name; the message lists what does, and says of a
                plugin that failed why it did.
        """
        plugin = self.plugins.get(name)
        if self._is_built_in(name):
            return self._catalogue.get(name)
        why = ""
        if plugin is not None:
            reason = self.failure(name)
            if reason is None:
                return self._imported[name]
            self._said.add(name)
            why = f", the plugin of {plugin.package} failed: {reason}"
        raise UserError(
            f"unknown name '{name}' in {self.kind}{why}; valid names: {', '.join(self.names())}"
        )

    def settings(self, name: str) -> type[Any]:
        """Return the dataclass that annotates the first parameter of the builder called `name`.

        Raises:
            UserError: nothing answers to that name, or a plugin's builder has no such parameter.
        """
        builder = self.get(name)
        found = _first_annotation(builder)
        if self._is_built_in(name):
            return found
        fields = dataclasses.fields(found) if dataclasses.is_dataclass(found) else ()
        if "name" not in {field.name for field in fields}:
            raise UserError(
                f"'{name}' in {self.kind}: the plugin of {self.plugins[name].package} has no "
                f"settings: the first parameter of {self.plugins[name].entry.value} must be "
                "annotated with a dataclass that has a field 'name'"
            )
        return found

    def where(self, name: str) -> str:
        """Return `file:line` of the builder called `name`, as far as Python knows them."""
        builder = inspect.unwrap(self.get(name))
        try:
            return f"{inspect.getsourcefile(builder)}:{inspect.getsourcelines(builder)[1]}"
        except (TypeError, OSError):
            return f"{builder!r}, without a source file"

    def _is_built_in(self, name: str) -> bool:
        # The module of that name first: the others may be heavy, and callbacks import Composer.
        for module in self._modules:
            package = importlib.import_module(module)
            alone = name.isidentifier() and hasattr(package, "__path__")
            if alone and importlib.util.find_spec(f"{module}.{name}"):
                importlib.import_module(f"{module}.{name}")
        return name in self._catalogue or name in self.built_in

    def _say(self, about: str, message: str) -> None:
        if about not in self._said:
            self._said.add(about)
            _LOG.warning("%s", message)


def _first_annotation(builder: Callable[..., Any]) -> Any:
    first = next(iter(inspect.signature(builder).parameters.values()), None)
    if first is None:
        return None
    if isinstance(first.annotation, str):
        hinted = builder.__init__ if inspect.isclass(builder) else builder
        return get_type_hints(hinted).get(first.name)
    # The others may name what is not imported before the builder is called.
    return first.annotation


models = Registry("models", "glm_composer.models")
objectives = Registry("objectives", "glm_composer.data.objectives")
optimizers = Registry("optimizers", "glm_composer.training.optimizers")
schedules = Registry("schedules", "glm_composer.training.schedules")
callbacks = Registry("callbacks", "glm_composer.training.callbacks")
sources = Registry("sources", "glm_composer.conversion.sources")
windowings = Registry("windowings", "glm_composer.conversion.windowings")
# A builder is told whether the model is causal, and gives a `Score`.
scores = Registry("scores", "glm_composer.evaluation.scores")
metrics = Registry("metrics", "glm_composer.evaluation.metrics")

REGISTRIES = {
    each.kind: each
    for each in (
        models,
        objectives,
        optimizers,
        schedules,
        callbacks,
        sources,
        windowings,
        scores,
        metrics,
    )
}
