"""The record of a run that is started again, or steered twice at once."""

from types import SimpleNamespace

import pytest
import torch
from composer.core import Time, Timestamp

from glm_composer.errors import UserError
from glm_composer.runs.events import read_events
from glm_composer.runs.folder import now
from glm_composer.runs.requests import open_inbox, send
from glm_composer.runs.status import Status, read_status, write_status
from glm_composer.training.asked import Asked
from glm_composer.training.callbacks.learning_rate import SetLearningRate
from glm_composer.training.callbacks.steering import Steering
from glm_composer.training.ends import recorded


def end_badly(config) -> Status:
    with pytest.raises(UserError), recorded(config):
        raise UserError("the data are gone")
    status = read_status(config.run_dir)
    assert status is not None
    assert (status.state, status.reason) == ("failed", "bad_input")
    return status


def test_a_start_that_fails_early_does_not_hide_how_far_the_run_was(configure):
    config = configure()
    (config.run_dir / "ranks").mkdir(parents=True)
    before = Status(
        state="finished", run_name="tiny", host="h", pid=1, process_start=1, ranks=1,
        started=now(), heartbeat=now(), step=12, epoch=1, progress=1.0, loss=1.25,
    )  # fmt: skip
    write_status(config.run_dir, before)
    # Without a checkpoint it starts from the beginning.
    status = end_badly(config)
    assert (status.step, status.progress, status.loss) == (0, None, None)
    write_status(config.run_dir, before)
    (config.run_dir / "checkpoints").mkdir()
    (config.run_dir / "checkpoints/ep1-ba12-rank0.pt").touch()
    status = end_badly(config)
    assert (status.step, status.epoch, status.progress, status.loss) == (12, 1, 1.0, 1.25)


def test_two_changes_of_one_value_at_one_batch_are_both_in_the_record(tmp_path):
    open_inbox(tmp_path)
    for value in ("0.5", "0.25"):
        send(tmp_path, "set", "lr_scale", value)
    asked = Asked(tmp_path)
    weights = [torch.nn.Parameter(torch.zeros(1))]
    rate = SetLearningRate(torch.optim.SGD(weights, lr=0.1), lambda state: 1.0)
    steering = Steering(tmp_path, asked, rate, {})
    asked.take(asked.give())
    state = SimpleNamespace(timestamp=Timestamp(batch=Time.from_batch(3)))
    steering.batch_end(state, None)
    steering.finish(state)
    told = [(e["value"], e["result"]) for e in read_events(tmp_path)]
    assert told == [
        ("0.5", "lr_scale is 0.5 after batch 3 (was 1.0)"),
        ("0.25", "lr_scale is 0.25 after batch 3 (was 0.5)"),
    ]
    assert rate.scale == 0.25
