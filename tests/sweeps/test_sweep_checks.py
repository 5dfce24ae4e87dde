"""What is refused before any trial starts."""

import pytest

from glm_composer.errors import UserError
from glm_composer.sweeps.command import Options, sweep
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.trial import outcome, trial_config, write_config


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["seed=1,2", "model.widht=8"], {}, "unknown key 'model.widht'; did you mean"),
        (["model.width=-1,0"], {}, "'model.width' = -1: input should be greater than 0"),
        (["seed=1"], {}, "nothing to sweep"),
        (["seed=1,2", "data.path=nowhere"], {}, "data.path 'nowhere': no dataset there"),
        (["seed=1,2"], {"metric": "eval/nowhere/auprc"}, "no table 'nowhere'"),
        (["seed=1,2"], {"name": "../x"}, "'run_name' = '../x-0001'"),
    ],
)
def test_what_no_trial_can_have(yeast, tmp_path, define, words, options, message):
    words = [f"data.path={yeast}", f"runs_dir={tmp_path}", *words]
    if message.startswith("data.path"):
        words = words[1:]
    with pytest.raises(UserError) as error:
        sweep(define("seed=1,2").file, words, Options(**options))
    assert message in str(error.value)
    assert not any(tmp_path.iterdir())


def test_a_run_of_somebody_elses_is_not_taken_for_a_trial(yeast, tmp_path, define):
    (tmp_path / "tiny-0002").mkdir()
    words = [f"data.path={yeast}", f"runs_dir={tmp_path}", "seed=1,2"]
    with pytest.raises(UserError, match="tiny-0002: is there, but no trial of this sweep"):
        sweep(define("seed=1,2").file, words, Options())


def test_a_trial_trains_what_glm_train_would(define):
    definition = define("model.heads=2,4", "seed=1,2", "model.width=32")
    config = trial_config(definition, 7, {"model.heads": "4", "seed": "2"})
    assert (config.run_name, config.model.heads, config.model.width) == ("tiny-0007", 4, 32)
    assert (config.seed, config.autoresume, config.max_duration) == (2, True, "12ba")


@pytest.mark.parametrize(
    ("code", "state", "message"),
    [
        (-9, "stopped", "ended by signal 9"),
        (143, "stopped", "ended by signal 15"),
        (75, "stopped", "saved and stopped by a signal"),
        (1, "failed", "RuntimeError: of all things (exit code 1)"),
        (0, "failed", "no 'validation/loss'; it holds train/loss"),
    ],
)
def test_how_a_trial_ended(define, tmp_path, code, state, message):
    definition = define("seed=1,2", f"runs_dir={tmp_path}")
    trial = Trial(number=1, values={"seed": "1"}, state="started")
    config = write_config(tmp_path, definition, trial)
    config.with_suffix(".log").write_text("Traceback\nRuntimeError: of all things\n\n")
    (tmp_path / "tiny-0001").mkdir()
    metrics = tmp_path / "tiny-0001" / "metrics.jsonl"
    metrics.write_text('{"step": 1, "train/loss": 1.5, "validation/loss_se": 1}\n')
    ended = outcome(definition, trial, config, code)
    assert (ended.state, ended.value) == (state, None)
    assert message in ended.message


def test_the_last_measurement_counts_unless_it_is_not_a_number(define, tmp_path):
    definition = define("seed=1,2", f"runs_dir={tmp_path}")
    trial = Trial(number=1, values={"seed": "1"}, state="started")
    config = write_config(tmp_path, definition, trial)
    (tmp_path / "tiny-0001").mkdir()
    metrics = tmp_path / "tiny-0001" / "metrics.jsonl"
    lines = '{"step": 1, "validation/loss": 1.5}\n{"step": 9, "validation/loss": 1.75}\n'
    metrics.write_text(lines + '{"step": 10, "train/loss": 1}\n')
    ended = outcome(definition, trial, config, 0)
    assert (ended.state, ended.value, ended.step) == ("finished", 1.75, 9)
    metrics.write_text(lines + '{"step": 10, "validation/loss": NaN}\n')
    ended = outcome(definition, trial, config, 0)
    assert (ended.state, ended.value) == ("failed", None)
    assert "'validation/loss' is nan at step 10" in ended.message
