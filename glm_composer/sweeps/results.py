"""What a sweep has found, as tables on the terminal."""

import shlex
import statistics
from collections.abc import Sequence

from glm_composer.columns import print_columns
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.dimensions import Choice, Dimension
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.trial import run_name

_SEED = "seed"


def ranked(definition: Definition, trials: Sequence[Trial]) -> list[Trial]:
    """Return trials by what they achieved, the best first, those without a result at the end."""
    finished = [(trial.value, trial) for trial in trials if trial.value is not None]
    others = [trial for trial in trials if trial.value is None]
    finished.sort(key=lambda pair: definition.better(pair[0]))
    return [*(trial for _, trial in finished), *others]


def header(definition: Definition) -> list[str]:
    """Names of the columns of `rows`."""
    return ["trial", "state", *definition.keys, definition.metric, "at step"]


def rows(definition: Definition, trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table of trials, the best first."""
    return [
        [
            run_name(definition, trial.number),
            "unfinished" if trial.state == "started" else trial.state,
            *(_cell(trial.values[each.key], each) for each in definition.dimensions),
            "n/a" if trial.value is None else f"{trial.value:.4f}",
            "n/a" if trial.step is None else f"{trial.step:,}",
        ]
        for trial in ranked(definition, trials)
    ]


def _cell(value: str, dimension: Dimension) -> str:
    # All digits of a proposal are in the command that trains it again.
    exact = isinstance(dimension, Choice) or dimension.whole
    return value if exact else f"{float(value):.4g}"


def seed_header(definition: Definition) -> list[str]:
    """Names of the columns of `seed_rows`."""
    return [*_without_seed(definition), f"mean {definition.metric}", "SD over seeds", "seeds"]


def seed_rows(definition: Definition, trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table of means over seeds, the best first; empty where none were varied."""
    if _SEED not in definition.keys:
        return []
    found: dict[tuple[str, ...], list[float]] = {}
    for trial in trials:
        if trial.value is not None:
            values = tuple(trial.values[key] for key in _without_seed(definition))
            found.setdefault(values, []).append(trial.value)
    means = sorted(found.items(), key=lambda pair: definition.better(statistics.fmean(pair[1])))
    return [
        [
            *values,
            f"{statistics.fmean(group):.4f}",
            f"{statistics.stdev(group):.4f}" if len(group) > 1 else "n/a",
            str(len(group)),
        ]
        for values, group in means
    ]


def _without_seed(definition: Definition) -> list[str]:
    return [key for key in definition.keys if key != _SEED]


def described(definition: Definition, trial: Trial) -> str:
    """Return a finished trial's values and metric as one line."""
    values = ", ".join(f"{key}={value}" for key, value in trial.values.items())
    return f"{values}: {definition.metric} {trial.value:.4f} at step {trial.step}"


def train_again(definition: Definition, trial: Trial) -> str:
    """Return the command that trains with a trial's settings, as a run of its own."""
    words = ["glm", "train", str(definition.file), *definition.overrides(trial.values)]
    return shlex.join([*words, f"run_name={definition.name}-best"])


def print_results(definition: Definition, trials: Sequence[Trial]) -> None:
    """Print all trials, the best first, why others have no result, and how to train the best."""
    print_columns(header(definition), rows(definition, trials), words=2 + len(definition.keys))
    for trial in trials:
        if trial.message:
            print(f"{run_name(definition, trial.number)} {trial.state}: {trial.message}")
    seeds = seed_rows(definition, trials)
    if seeds:
        print()
        print_columns(seed_header(definition), seeds, words=len(definition.keys) - 1)
    best = ranked(definition, trials)[:1]
    if best and best[0].value is not None:
        print(f"\nbest: {run_name(definition, best[0].number)}, {described(definition, best[0])}")
        print(f"to train it again: {train_again(definition, best[0])}")
