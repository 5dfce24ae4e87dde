"""Every schedule against its formula, written out by hand, in every unit of time."""

import math

import pytest
from composer import optim
from composer.core import State, Time
from composer.devices import DeviceCPU
from torch import nn

from glm_composer.registry import schedules

# Windows a batch, bases a window, batches an epoch.
BATCH, WINDOW, EPOCH = 4, 100, 10


class Batches:
    """A dataloader is only asked how long an epoch is."""

    def __len__(self):
        return EPOCH


def rates(max_duration: str, name: str, **settings) -> list[float]:
    """The multiplier of each step of a run of three epochs, and of the moment after the last."""
    schedule = built(name, **settings)
    return list(over(schedule, max_duration))


def built(name, **settings):
    builder = schedules.get(name)
    return builder(schedules.settings(name)(**settings))


def over(schedule, max_duration: str):
    state = State(
        nn.Linear(1, 1),
        0,
        "r",
        DeviceCPU(),
        device_train_microbatch_size=4,
        max_duration=max_duration,
    )
    state.set_dataloader(Batches(), "train")
    end = Time.from_timestring(max_duration)
    while state.timestamp.get(end.unit) < end:
        yield schedule(state)
        state.timestamp = state.timestamp.to_next_batch(BATCH, BATCH * WINDOW)
        if state.timestamp.batch_in_epoch.value == EPOCH:
            state.timestamp = state.timestamp.to_next_epoch()
    yield schedule(state)


# The same moments in every unit that a run's length can have; 30 batches are three epochs.
THIRDS = {
    "30ba": ["10ba", "1ep"],
    "3ep": ["10ba", "1ep"],
    "120sp": ["40sp"],
    "12000tok": ["4000tok"],
}
CASES = [(length, third) for length in THIRDS for third in [*THIRDS[length], f"{1 / 3!r}dur"]]


@pytest.mark.parametrize(("length", "warmup"), CASES)
def test_all_of_them_in_all_units(length, warmup):
    warm = [step / 10 for step in range(10)]
    after = [step / 20 for step in range(21)]
    expected = {
        "constant": [1.0] * 21,
        "linear": [1 - 0.8 * x for x in after],
        "cosine": [0.2 + 0.8 * (1 + math.cos(math.pi * x)) / 2 for x in after],
    }
    for name, values in expected.items():
        final = {} if name == "constant" else {"final": 0.2}
        found = rates(length, name, warmup=warmup, **final)
        assert found == pytest.approx([*warm, *values]), name
    # The third epoch falls from 1 to 0.2.
    found = rates(length, "wsd", warmup=warmup, decay=f"{1 / 3!r}dur", final=0.2)
    assert found == pytest.approx([*warm, *[1.0] * 10, *[1 - 0.08 * step for step in range(11)]])


def test_the_moments_that_matter_by_hand():
    # 0, mid-warmup, end of warmup, middle of what is left, last step, end.
    moments = [0, 5, 10, 20, 29, 30]
    expected = {
        "constant": [0, 0.5, 1, 1, 1, 1],
        "linear": [0, 0.5, 1, 0.5, 0.05, 0],
        "cosine": [0, 0.5, 1, 0.5, 0.00615582970, 0],
        "wsd": [0, 0.5, 1, 1, 1 / 6, 0],
    }
    for name, values in expected.items():
        found = rates("30ba", name, warmup="10ba")
        assert [found[moment] for moment in moments] == pytest.approx(values, abs=1e-9), name


def test_without_warmup_the_first_step_has_the_peak():
    for name in schedules.names():
        assert rates("3ep", name)[0] == 1.0, name


def test_composers_own_agree_where_they_work():
    theirs = {
        "constant": optim.ConstantWithWarmupScheduler("10ba"),
        "linear": optim.LinearWithWarmupScheduler("10ba", alpha_f=0.2),
        "cosine": optim.CosineAnnealingWithWarmupScheduler("10ba", alpha_f=0.2),
    }
    for length in ("30ba", "3ep"):
        for name, scheduler in theirs.items():
            final = {} if name == "constant" else {"final": 0.2}
            found = rates(length, name, warmup="10ba", **final)
            assert found == pytest.approx(list(over(scheduler, length)), rel=1e-12), name


def test_decay_in_batches_of_a_run_in_epochs():
    found = rates("3ep", "wsd", decay="10ba")
    assert found[20] == 1.0
    assert found[25] == pytest.approx(0.5)
    assert found[30] == 0.0


def test_a_run_that_is_shorter_than_its_warmup_only_rises():
    for name in schedules.names():
        assert rates("5ba", name, warmup="10ba")[:5] == [0.0, 0.1, 0.2, 0.3, 0.4], name


def test_warmup_and_decay_that_overlap_meet():
    found = rates("30ba", "wsd", warmup="20ba", decay="20ba")
    assert found == pytest.approx([min(step / 20, (30 - step) / 20) for step in range(31)])
