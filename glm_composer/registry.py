"""Named builders: what a `name:` in a yaml may say, and which function answers to it.

A builder is a function whose first parameter is annotated with the dataclass of its own settings,
which has a field `name`; that annotation is how a configuration section finds its schema. Kinds
that have no settings say below what their builders take.
Built-ins register themselves with a decorator and are found by importing the modules of their
package, so adding one is adding a file. Third parties declare an entry point in the group
`glm_composer_KIND` (for instance `glm_composer_models`). A built-in wins over a plugin of the same
name.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib import metadata
from typing import Any, TypeVar, get_type_hints

import catalogue

from glm_composer.errors import UserError

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
        self._catalogue = catalogue.create("glm_composer", kind, entry_points=True)
        self._builtins: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Builder], Builder]:
        """Return a decorator that makes a function the built-in builder called `name`."""

        def add(builder: Builder) -> Builder:
            self._builtins[name] = builder
            return builder

        return add

    @cached_property
    def _loaded(self) -> dict[str, Callable[..., Any]]:
        for module in self._modules:
            package = importlib.import_module(module)
            for child in pkgutil.iter_modules(getattr(package, "__path__", [])):
                importlib.import_module(f"{module}.{child.name}")
        return self._builtins

    def names(self) -> list[str]:
        """Return every name that `get` accepts, built-in or from a plugin, sorted."""
        # Not catalogue's own list, which imports every plugin: a broken one must not stand in the
        # way of the others, let alone of an error message.
        plugins = metadata.entry_points(group=f"glm_composer_{self.kind}")
        return sorted({*self._loaded, *plugins.names})

    def get(self, name: str) -> Callable[..., Any]:
        """Return the builder called `name`.

        Raises:
            UserError: nothing answers to that name; the message lists what does.
        """
        if name in self._loaded:
            return self._loaded[name]
        plugin = self._catalogue.get_entry_point(name)
        if plugin is None:
            raise UserError(
                f"unknown name '{name}' in {self.kind}; valid names: {', '.join(self.names())}"
            )
        return plugin

    def settings(self, name: str) -> type[Any]:
        """Return the dataclass that annotates the first parameter of the builder called `name`."""
        builder = self.get(name)
        first = next(iter(inspect.signature(builder).parameters.values()))
        if isinstance(first.annotation, str):
            hinted = builder.__init__ if inspect.isclass(builder) else builder
            return get_type_hints(hinted)[first.name]
        # The others may name what is not imported before the builder is called.
        return first.annotation

    def where(self, name: str) -> str:
        """Return `file:line` of the builder called `name`."""
        builder = self.get(name)
        return f"{inspect.getsourcefile(builder)}:{inspect.getsourcelines(builder)[1]}"


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
