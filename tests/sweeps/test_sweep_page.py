"""What a reader sees of a sweep: the tables and the page."""

import dataclasses
import re

from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.page import page
from glm_composer.sweeps.results import print_results, seed_rows

VALUES = {1: 2.0, 2: 1.25, 3: None, 4: 1.5, 5: 1.75}


def trials():
    found = []
    for number, value in VALUES.items():
        values = {"model.width": "8" if number < 4 else "16", "seed": str(number % 3)}
        failed = {"state": "failed", "message": "out of <memory>"}
        known = {"state": "finished", "value": value, "step": 1200}
        found.append(Trial(number=number, values=values, **(known if value else failed)))
    return found


def test_the_best_comes_first_whichever_way_is_better(define, capsys):
    definition = define("model.width=8,16", "seed=0,1,2", "data.path=a b")
    for direction, order in (("minimize", [2, 4, 5, 1, 3]), ("maximize", [1, 5, 4, 2, 3])):
        print_results(dataclasses.replace(definition, direction=direction), trials())
        said = capsys.readouterr().out
        table = said.partition("\n\n")[0].splitlines()[1:]
        rows = [line.split()[0] for line in table if "out of" not in line]
        assert rows == [f"tiny-000{number}" for number in order]
        assert "tiny-0003 failed: out of <memory>" in said
        best = "8 seed=2" if direction == "minimize" else "8 seed=1"
        command = f"glm train {definition.file} 'data.path=a b' model.width={best}"
        assert f"to train it again: {command} run_name=tiny-best" in said


def test_means_over_seeds_are_those_of_a_pocket_calculator(define):
    rows = seed_rows(define("model.width=8,16", "seed=0,1,2"), trials())
    assert rows == [["8", "1.6250", "0.5303", "2"], ["16", "1.6250", "0.1768", "2"]]
    assert seed_rows(define("model.width=8,16"), trials()) == []


def test_the_page_shows_every_finished_trial_in_every_picture(define):
    definition = define("model.width=8,16", "seed=0,1,2")
    html = page(definition, trials())
    # One for each of two dimensions, and one trial by trial.
    assert html.count("<figure>") == 3
    names = re.findall(r"<circle[^>]*><title>(tiny-\d+)", html)
    assert sorted(names) == sorted(3 * [f"tiny-{n:04d}" for n, v in VALUES.items() if v])
    assert len(re.findall(r'class="dot p4"', html)) == 3
    assert "out of &lt;memory&gt;" in html
    assert "<memory>" not in html
    assert not re.search(r"https?://|<script", html)


def test_a_page_of_a_sweep_that_has_only_begun(define):
    html = page(define("seed=0,1"), [Trial(number=1, values={"seed": "0"}, state="started")])
    assert "unfinished" in html
    assert "<figure>" not in html
