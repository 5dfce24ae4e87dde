"""What jobs find in their environment."""

import os

import pytest

from glm_composer.sweeps.trial import environments
from glm_composer.training.signals import FROM_ABOVE


@pytest.mark.parametrize("jobs", [1, 2, 3, 1000])
def test_jobs_share_the_cores(jobs, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = [int(each["OMP_NUM_THREADS"]) for each in environments(jobs, [])]
    cores = len(os.sched_getaffinity(0))
    assert len(found) == jobs
    assert min(found) >= 1
    assert sum(found) <= max(cores, jobs)
    assert sum(found) > cores - jobs


@pytest.mark.parametrize("devices", [[], ["0"]])
def test_a_trial_knows_that_the_sweep_hands_on_signals(devices):
    assert all(FROM_ABOVE in each for each in environments(2, devices))
    assert FROM_ABOVE not in os.environ


def test_what_the_user_has_set_is_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert [each["OMP_NUM_THREADS"] for each in environments(2, [])] == ["7", "7"]


def test_gpus_are_dealt_out_in_turn():
    found = [each["CUDA_VISIBLE_DEVICES"] for each in environments(5, ["2", "GPU-a", "0"])]
    assert found == ["2", "GPU-a", "0", "2", "GPU-a"]
