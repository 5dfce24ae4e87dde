import re

import numpy as np
import pytest

from glm_composer.evaluation.metrics import auprc, curve
from glm_composer.report.charts import Level, Series, line_chart
from glm_composer.report.dots import Dot, dot_chart
from glm_composer.report.markup import Markup, join, tag
from glm_composer.report.scales import Scale, limits_of, step_line, thinned, ticks


def test_markup_escapes_everything_but_markup() -> None:
    made = tag("p", "<b>&\"'", [Markup("<i></i>"), None, 3], class_="a<b", data_x='"', hidden=None)
    assert made == ('<p class="a&lt;b" data-x="&quot;">&lt;b&gt;&amp;&quot;&#x27;<i></i>3</p>')
    assert join(made, "<") == made + "&lt;"
    assert tag("meta", name="x") == '<meta name="x">'


def test_scale_maps_its_ends_onto_each_other() -> None:
    assert Scale(1.0, 3.0, 200.0, 100.0)([1.0, 2.5, 3.0]).tolist() == [200.0, 125.0, 100.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (1.281, 1.389, ["1.30", "1.32", "1.34", "1.36", "1.38"]),
        (0.0, 800.0, ["0", "200", "400", "600", "800"]),
        (-0.3, 0.3, ["-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3"]),
        (0.0, 500_000.0, ["0", "100,000", "200,000", "300,000", "400,000", "500,000"]),
        (0.0, 4e-6, ["0.0e+00", "1.0e-06", "2.0e-06", "3.0e-06", "4.0e-06"]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[str]) -> None:
    values, texts = ticks(low, high)
    assert texts == expected
    assert values.tolist() == pytest.approx([float(text.replace(",", "")) for text in expected])


def test_limits_leave_out_what_is_not_finite_and_part_equal_values() -> None:
    assert limits_of([[3.0, np.nan], 1.0, [np.inf]]) == (1.0, 3.0)
    assert limits_of([[2.0, 2.0]]) == pytest.approx((1.8, 2.2))
    assert limits_of([0.0]) == (-1.0, 1.0)


def test_area_under_the_steps_is_the_average_precision() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(300) < 0.2
    score = np.round(rng.normal(size=300) + label, 1)
    points = curve(label, score)
    x, y = step_line(points.recall, points.precision)
    assert len(x) == len(y) == 2 * len(points.recall) - 2
    assert np.trapezoid(y, x) == pytest.approx(auprc(label, score))


def test_thinning_keeps_the_lowest_and_highest_point_of_each_sliver() -> None:
    x = np.arange(100_000, dtype=float)
    y = np.random.default_rng(1).normal(size=x.size)
    y[50_000:50_600] = np.nan  # more than a whole sliver
    kept_x, kept_y = thinned(x, y)
    expected: set[int] = set()
    sliver = np.minimum(x / x[-1] * 800, 799).astype(int)
    for each in range(800):
        (inside,) = np.nonzero(sliver == each)
        if np.isnan(y[inside]).all():
            expected.add(int(inside[0]))
        else:
            expected |= {inside[np.nanargmin(y[inside])], inside[np.nanargmax(y[inside])]}
    assert kept_x.tolist() == sorted(expected)
    np.testing.assert_array_equal(kept_y, y[kept_x.astype(int)])
    assert np.isnan(kept_y).any()


def test_short_lines_are_not_thinned() -> None:
    x = np.arange(1600.0)
    assert thinned(x, -x)[1].tolist() == (-x).tolist()


def _chart(*series: Series, **options: object) -> str:
    words = {"title": "t", "x_label": "x", "y_label": "y"}
    return line_chart(series, **words, **options)  # type: ignore[arg-type]


def test_a_line_is_interrupted_where_a_value_is_not_finite() -> None:
    y = [1.0, 2.0, np.nan, 1.0, 2.0]
    drawn = _chart(Series(label="a", x=range(5), y=y, colour="p0"))
    path = re.search(r'<path class="line p0" d="([^"]*)"', drawn)
    assert path is not None
    assert path[1].count("M") == 2
    assert path[1].count("L") == 2
    assert "nan" not in drawn


def test_points_stand_where_their_values_are_with_their_error_bars() -> None:
    series = Series(
        label="a", x=[0.0, 5.0], y=[0.5, np.nan], colour="p0", kind="points", spread=[0.25, 1.0]
    )
    drawn = _chart(series, x_limits=(0.0, 10.0), y_limits=(0.0, 1.0))
    # The plot reaches from 54 to 428 across and from 222 up to 12.
    assert re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn) == [("54.0", "117.0")]
    assert 'class="bar p0" x1="54.0" x2="54.0" y1="169.5" y2="64.5"' in drawn
    assert "a, step 0: 0.5000 ± 0.2500" in drawn


def test_axes_make_room_for_levels_and_error_bars() -> None:
    series = Series(label="a", x=[1, 2], y=[1.0, 2.0], colour="p0", kind="points", spread=[0, 2])
    drawn = _chart(series, levels=[Level(value=-4.0, label="low")])
    found = [float(v) for v in re.findall(r'y="([\d.]+)" text-anchor="end">-?\d', drawn)]
    assert found == sorted(found, reverse=True)
    assert re.search(r">-4<|>-4\.0<", drawn)
    assert re.search(r">4<|>4\.0<", drawn)


def test_dots_stand_in_the_order_of_their_values() -> None:
    dots = [
        Dot(label="worse", value=1.4, text="1.4", colour="p1"),
        Dot(label="better <b>", value=1.3, text="1.3", colour="p0"),
    ]
    drawn = dot_chart(dots, title="t", x_label="nats", mark=1.3)
    (worse, better) = re.findall(r'<circle class="dot p\d" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert float(better[0]) < float(worse[0])
    assert float(worse[1]) < float(better[1])
    assert "better &lt;b&gt;" in drawn
    assert re.search(rf'class="level" x1="{better[0]}"', drawn)
