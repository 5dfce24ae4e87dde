"""What a sweep has found, as a table on the terminal."""

import shlex
from collections.abc import Sequence

from glm_composer.report.columns import print_columns
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.trial import run_name


def ranked(definition: Definition, trials: Sequence[Trial]) -> list[Trial]:
    """Return trials by what they achieved, the best first, those without a result at the end."""
    finished = [trial for trial in trials if trial.value is not None]
    others = [trial for trial in trials if trial.value is None]
    return [*sorted(finished, key=lambda each: definition.better(each.value or 0.0)), *others]


def header(definition: Definition) -> list[str]:
    """Names of the columns of `rows`."""
    return ["trial", "state", *definition.keys, definition.metric, "at step"]


def rows(definition: Definition, trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table of trials, the best first."""
    return [
        [
            run_name(definition, trial.number),
            "unfinished" if trial.state == "started" else trial.state,
            *(trial.values[key] for key in definition.keys),
            "n/a" if trial.value is None else f"{trial.value:.4f}",
            "n/a" if trial.step is None else f"{trial.step:,}",
        ]
        for trial in ranked(definition, trials)
    ]


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
    best = ranked(definition, trials)[:1]
    if best and best[0].value is not None:
        print(f"best: {run_name(definition, best[0].number)}; to train with its settings:")
        print(f"  {train_again(definition, best[0])}")
