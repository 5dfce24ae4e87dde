"""Which values come next: all combinations, or proposals of Optuna by what was found so far."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from glm_composer.errors import UserError
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.dimensions import Choice, Dimension
from glm_composer.sweeps.journal import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STUDY = "optuna.jsonl"


class Search(Protocol):
    """A source of trials."""

    def total(self, trials: Sequence[Trial]) -> int:
        """Return how many trials there will be in all."""

    def propose(self, trials: Sequence[Trial]) -> dict[str, str] | None:
        """Return the values of the next trial, key -> value; None if there is none left."""

    def tell(self, trial: Trial) -> None:
        """Learn what became of a trial."""


class Grid:
    """All combinations of the values, the last dimension fastest."""

    def __init__(self, definition: Definition):
        values = [each.values for each in definition.dimensions if isinstance(each, Choice)]
        self._combinations = [
            dict(zip(definition.keys, each, strict=True)) for each in itertools.product(*values)
        ]

    def total(self, trials: Sequence[Trial]) -> int:
        """Those of the grid, and those of an earlier, other grid of this sweep."""
        return len(trials) + len(self._missing(trials))

    def propose(self, trials: Sequence[Trial]) -> dict[str, str] | None:
        """Return the first combination that no trial has."""
        return next(iter(self._missing(trials)), None)

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""

    def _missing(self, trials: Sequence[Trial]) -> list[dict[str, str]]:
        there = [trial.values for trial in trials]
        return [each for each in self._combinations if each not in there]


class Optuna:
    """A tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna.

    The journal of the sweep is what counts. Optuna's own file is written anew from it at every
    start, so a kill in the midst of writing it does no harm. What is proposed follows from the
    seed, the trial's number and the results so far: one trial at a time, a sweep that was killed
    proposes what an uninterrupted one does.

    Args:
        definition: of the sweep.
        trials: there so far.
        count: trials in all.
        directory: of the sweep.
    """

    def __init__(
        self, definition: Definition, trials: Sequence[Trial], count: int, directory: Path
    ):
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._definition, self._count = definition, count
        self._distributions = {each.key: _distribution(each) for each in definition.dimensions}
        path = directory / STUDY
        for leftover in directory.glob(f"{STUDY}*"):
            leftover.unlink()
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=definition.name,
            direction=definition.direction,
        )
        for trial in trials:
            self._study.add_trial(
                optuna.trial.create_trial(
                    # What failed or was stopped is going to be tried again.
                    state=optuna.trial.TrialState.COMPLETE
                    if trial.state == "finished"
                    else optuna.trial.TrialState.RUNNING,
                    params=_parameters(trial.values, definition.dimensions),
                    distributions=self._distributions,
                    value=trial.value,
                )
            )

    def total(self, trials: Sequence[Trial]) -> int:
        """As many as were asked for, or have been tried already."""
        return max(self._count, len(trials))

    def propose(self, trials: Sequence[Trial]) -> dict[str, str] | None:
        """Ask Optuna for the next trial, which has the number `len(trials) + 1`."""
        from optuna.samplers import TPESampler

        if len(trials) >= self._count:
            return None
        # One stream of random numbers would begin again with every start of the command.
        seed = random.Random(f"{self._definition.seed} {len(trials)}").getrandbits(32)
        self._study.sampler = TPESampler(seed=seed, constant_liar=True)
        asked = self._study.ask(self._distributions)
        assert asked.number == len(trials)
        return {key: _text(value) for key, value in asked.params.items()}

    def tell(self, trial: Trial) -> None:
        """Hand on the metric of a finished trial, or that there is none."""
        from optuna.trial import TrialState

        if trial.state == "finished":
            self._study.tell(trial.number - 1, trial.value)
        else:
            self._study.tell(trial.number - 1, state=TrialState.FAIL)


def make_search(
    definition: Definition, trials: Sequence[Trial], count: int | None, directory: Path
) -> Search:
    """Return the search that a definition asks for.

    Raises:
        UserError: a range in a grid, or a number of trials that does not go with the search.
    """
    if definition.search == "grid":
        if count is not None:
            raise UserError("--trials goes with --search optuna: a grid has all combinations")
        ranges = [each.key for each in definition.dimensions if not isinstance(each, Choice)]
        if ranges:
            raise UserError(
                f"'{ranges[0]}': a grid needs values, as {ranges[0]}=V1,V2; ranges go with "
                "--search optuna"
            )
        return Grid(definition)
    if count is None:
        raise UserError("--search optuna needs --trials N")
    return Optuna(definition, trials, count, directory)


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _text(value: Any) -> str:
    # A float's shortest text that is the same float; a choice is text already.
    return value if isinstance(value, str) else repr(value)


def _parameters(values: dict[str, str], dimensions: Sequence[Dimension]) -> dict[str, Any]:
    read = {
        each.key: str if isinstance(each, Choice) else int if each.whole else float
        for each in dimensions
    }
    return {key: read[key](value) for key, value in values.items()}
