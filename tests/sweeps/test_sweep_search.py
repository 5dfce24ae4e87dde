"""Which trials a sweep proposes, and that a restart proposes the same."""

import dataclasses
import itertools
import math
import random

import pytest

from glm_composer.errors import UserError
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.search import STUDY, make_search

RANGES = ("optimizer.lr=log:1e-5..1e-1", "model.layers=1..8", "model.name=a,b,c")


def finished(number, values, value):
    return Trial(number=number, values=values, state="finished", value=value, step=1)


def test_a_grid_is_every_combination_once_and_grows(define, tmp_path):
    grid = make_search(define("seed=1,2,3", "model.width=8,16"), [], None, tmp_path)
    assert grid.total([]) == 6
    trials = []
    while (values := grid.propose(trials)) is not None:
        trials.append(Trial(number=len(trials) + 1, values=values, state="started"))
    expected = [{"seed": s, "model.width": w} for s, w in itertools.product("123", ("8", "16"))]
    assert [trial.values for trial in trials] == expected
    larger = make_search(define("seed=1,2,3", "model.width=8,16,32"), trials, None, tmp_path)
    assert larger.total(trials) == 9
    assert larger.propose(trials) == {"seed": "1", "model.width": "32"}


def test_numbers_of_trials_and_ranges_go_with_their_search(define, tmp_path):
    with pytest.raises(UserError, match="--trials goes with --search optuna"):
        make_search(define("seed=1,2"), [], 3, tmp_path)
    with pytest.raises(UserError, match="a grid needs values"):
        make_search(define("seed=1..5"), [], None, tmp_path)
    with pytest.raises(UserError, match="needs --trials N"):
        make_search(define("seed=1..5", search="optuna"), [], None, tmp_path)


def loss(values):
    """Lowest, 0, at lr 1e-3 and 5 layers of model b."""
    off = math.log10(float(values["optimizer.lr"])) + 3
    return off**2 + 0.1 * abs(int(values["model.layers"]) - 5) + (values["model.name"] != "b")


def search(definition, directory, count, restart_every=None):
    trials = []
    asked = make_search(definition, trials, count, directory)
    while (values := asked.propose(trials)) is not None:
        assert 1e-5 <= float(values["optimizer.lr"]) <= 1e-1
        assert values["model.layers"] in "12345678"
        assert values["model.name"] in "abc"
        trials.append(finished(len(trials) + 1, values, loss(values)))
        asked.tell(trials[-1])
        if restart_every and len(trials) % restart_every == 0:
            # As a kill leaves it: what was asked last is unknown to the journal.
            asked.propose(trials)
            asked = make_search(definition, trials, count, directory)
    return trials


def test_a_search_that_is_killed_proposes_what_an_uninterrupted_one_does(define, tmp_path):
    definition = define(*RANGES, search="optuna")
    whole = search(definition, tmp_path, 13)
    assert len({tuple(trial.values.items()) for trial in whole}) == 13
    assert search(definition, tmp_path, 13, restart_every=4) == whole
    other = search(dataclasses.replace(definition, seed=4), tmp_path, 3)
    assert other != whole[:3]


def test_a_search_is_better_than_chance(define, tmp_path):
    found = sorted(trial.value for trial in search(define(*RANGES, search="optuna"), tmp_path, 25))
    rng = random.Random(0)

    def best_of_chance():
        return min(
            loss(
                {
                    "optimizer.lr": 10 ** rng.uniform(-5, -1),
                    "model.layers": rng.randint(1, 8),
                    "model.name": rng.choice("abc"),
                }
            )
            for _ in range(25)
        )

    chance = sorted(best_of_chance() for _ in range(200))
    assert found[0] < chance[100]


def test_optuna_reads_what_was_found_from_its_own_file(define, tmp_path):
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # Higher is better here, so the best is another than the lowest.
    trials = search(define(*RANGES, search="optuna", direction="maximize"), tmp_path, 5)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / STUDY)))
    study = load_study(study_name="tiny", storage=storage)
    assert [trial.value for trial in study.trials] == [trial.value for trial in trials]
    assert study.best_value == max(trial.value for trial in trials)


def test_a_trial_that_failed_is_known_as_such_and_may_be_tried_again(define, tmp_path):
    definition = define(*RANGES, search="optuna")
    asked = make_search(definition, [], 2, tmp_path)
    trial = Trial(number=1, values=asked.propose([]), state="failed", message="for a reason")
    asked.tell(trial)
    again = make_search(definition, [trial], 2, tmp_path)
    again.tell(finished(1, trial.values, 2.0))
    assert again.propose([trial]) is not None
