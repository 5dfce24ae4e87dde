"""`glm sweep` as a command runs it: check everything, train, show what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from glm_composer.config import Config
from glm_composer.conversion.files import locked
from glm_composer.errors import UserError
from glm_composer.sweeps.definition import Definition, Direction, base_of, keep_definition
from glm_composer.sweeps.dimensions import Choice, Dimension, parse
from glm_composer.sweeps.journal import FILE, read_journal, repair
from glm_composer.sweeps.results import print_results
from glm_composer.sweeps.runner import Runner
from glm_composer.sweeps.search import make_search
from glm_composer.sweeps.trial import run_name, trial_config
from glm_composer.training.inputs import check_data, check_init

# Exit codes: a trial has no result; a signal stopped the sweep, and the same command goes on.
FAILED, STOPPED = 1, 75


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says beside the yaml and the values.

    Attributes:
        name: of the sweep; None for the yaml's run_name.
        jobs: trials at a time.
        search: as in `Definition`.
        trials: how many a search makes; None for a grid.
        metric: None for the loss on the evaluation split.
        direction: None for what the metric's name suggests.
    """

    name: str | None = None
    jobs: int = 1
    search: Literal["grid", "optuna"] = "grid"
    trials: int | None = None
    metric: str | None = None
    direction: Direction | None = None


def sweep(file: Path, overrides: Sequence[str], options: Options) -> int:
    """Train every trial that is not finished yet; print and write what was found.

    Returns:
        The exit code.

    Raises:
        UserError: nothing to sweep, settings that no trial can have, a sweep of another kind in
            the directory, another process at it.
    """
    fixed, dimensions = parse(overrides)
    if not dimensions:
        raise UserError(
            "nothing to sweep: give a key several values, for instance optimizer.lr=1e-4,1e-3"
        )
    definition, config = _define(file, fixed, dimensions, options)
    directory = Path(config.runs_dir) / "sweeps" / definition.name
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory}: cannot be made: {error.strerror}") from None
    taken = f"{directory}: another process is at this sweep; wait for it, or choose another --name"
    with locked(directory / ".lock", shared=False, taken=taken):
        return _sweep(directory, definition, config, options)


def _sweep(directory: Path, definition: Definition, config: Config, options: Options) -> int:
    from glm_composer.sweeps.page import write_page

    repair(directory / FILE)
    trials = read_journal(directory / FILE)
    search = make_search(definition, trials, options.trials, directory)
    keep_definition(directory, definition)
    _check_names(definition, Path(config.runs_dir), len(trials), search.total(trials))
    finished = sum(trial.state == "finished" for trial in trials)
    print(
        f"sweep {definition.name}: {search.total(trials)} trials, {finished} of them finished, "
        f"{options.jobs} at a time, {definition.metric} ({definition.direction})",
        flush=True,
    )
    runner = Runner(
        directory,
        definition,
        search,
        trials,
        options.jobs,
        lambda found: write_page(directory, definition, found),
    )
    runner.run()
    page = write_page(directory, definition, runner.trials)
    print_results(definition, runner.trials)
    print(f"report: {page}")
    if runner.stopped:
        print("stopped: the same command goes on")
        return STOPPED
    return 0 if all(trial.state == "finished" for trial in runner.trials) else FAILED


def _define(
    file: Path, fixed: list[str], dimensions: list[Dimension], options: Options
) -> tuple[Definition, Config]:
    """Return the definition, and the settings of a first trial."""
    base = base_of(file, fixed)
    name = options.name or str(base.get("run_name", "sweep"))
    draft = Definition(
        name=name,
        file=file,
        fixed=tuple(fixed),
        dimensions=tuple(dimensions),
        search=options.search,
        metric="",
        direction="minimize",
        seed=0,
        base=base,
    )
    config = _first_valid(draft)
    check_data(config)
    check_init(config)
    metric = options.metric or f"{config.data.eval_split}/loss"
    _check_metric(metric, config)
    lower = metric.rpartition("/")[2] in ("loss", "perplexity")
    direction = options.direction or ("minimize" if lower else "maximize")
    return replace(draft, metric=metric, direction=direction, seed=config.seed), config


def _first_valid(definition: Definition) -> Config:
    """Return the settings of a combination of values that go together.

    Values are tried one at a time beside the first of the others. A misspelled key fails with all
    of them; a width that does not go with a number of heads fails with some, and is no more than
    a trial without a result.

    Raises:
        UserError: what is wrong with the first, if all are.
    """
    choices = {
        each.key: each.values
        if isinstance(each, Choice)
        else tuple(str(int(end) if each.whole else end) for end in (each.low, each.high))
        for each in definition.dimensions
    }
    first = {key: values[0] for key, values in choices.items()}
    others = [{**first, key: value} for key, values in choices.items() for value in values[1:]]
    wrong = None
    for values in [first, *others]:
        try:
            return trial_config(definition, 1, values)
        except UserError as error:
            wrong = wrong or error
    assert wrong is not None
    raise wrong


def _check_metric(metric: str, config: Config) -> None:
    """Check that a metric of a variant table is of one that the runs have."""
    kind, _, rest = metric.partition("/")
    table = rest.partition("/")[0]
    if kind == "eval" and table not in config.evaluation.tables:
        tables = ", ".join(config.evaluation.tables) or "none"
        raise UserError(f"--metric {metric}: no table '{table}'; evaluation.tables has {tables}")


def _check_names(definition: Definition, runs_dir: Path, known: int, total: int) -> None:
    """Check that runs that are not of this sweep's journal do not have its trials' names."""
    for number in range(known + 1, total + 1):
        path = runs_dir / run_name(definition, number)
        if path.exists():
            raise UserError(
                f"{path}: is there, but no trial of this sweep; choose another --name or remove it"
            )
