"""Times of a mixture's schedule, in every unit, as numbers of global batches."""

import pytest

from glm_composer.data.mixture import Proportion
from glm_composer.errors import UserError
from glm_composer.training.proportions import proportions


def schedule(configure, points, duration="100ba"):
    config = configure(
        f"max_duration={duration}",
        "data.train_windows=null",
        f"data.streams={{a: {{path: x}}, b: {{path: y, proportion: {points}}}}}",
    )
    # Batches of 16 windows of 64 bases; 10 batches an epoch.
    return proportions(config, 155, 64)


def test_every_unit(configure):
    points = "[[0ba, 1], [2ep, 0.5], [0.5dur, 2], [1.0dur, 0]]"
    found = schedule(configure, points)
    assert found["a"] == Proportion((0,), (1,))
    assert found["b"] == Proportion((0, 20, 50, 100), (1, 0.5, 2, 0))


@pytest.mark.parametrize(
    ("duration", "batches"), [("100ba", 100), ("3ep", 30), ("800sp", 50), ("102400tok", 100)]
)
def test_every_duration(configure, duration, batches):
    found = schedule(configure, "[[0.5dur, 1]]", duration)
    assert found["b"].batches == (batches / 2,)


def test_points_out_of_order(configure):
    with pytest.raises(UserError, match=r"data\.streams\.b.proportion: 10ba comes before"):
        schedule(configure, "[[0.5dur, 1], [10ba, 0]]")
    with pytest.raises(UserError, match=r"data\.streams\.b: proportion must have"):
        schedule(configure, "[]")


@pytest.mark.slow
def test_no_stream_gives_anything(configure):
    def both(a, b):
        streams = f"{{a: {{path: x, proportion: {a}}}, b: {{path: y, proportion: {b}}}}}"
        changes = ["max_duration=9ba", "data.train_windows=null", f"data.streams={streams}"]
        return proportions(configure(*changes), 155, 64)

    for a, b, batch in (
        ("0", "0.0", 0),
        ("[[2ba, 0]]", "[[0ba, 1], [5ba, 0]]", 5),
        ("[[3ba, 1], [4ba, 0], [6ba, 1]]", "0", 4),
    ):
        with pytest.raises(UserError, match=f"all proportions are 0 in batch {batch}$"):
            both(a, b)
    # The run is over before.
    assert both("0", "[[0ba, 1], [1.0dur, 0]]")["b"].at(8) > 0


@pytest.mark.parametrize("time", ["5", "1sp", "-1ba", "soon", "1.5ba"])
def test_times_that_are_none(configure, time):
    with pytest.raises(UserError, match=r"data\.streams\.b.proportion"):
        schedule(configure, f"[['{time}', 1]]")
