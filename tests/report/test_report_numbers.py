import math

import numpy as np
import polars as pl
import pytest

from glm_composer.report.numbers import (
    best_baseline,
    by_consequence,
    is_derived,
    number,
    readable,
    running_mean,
    settled_limits,
    with_error,
)


def test_numbers_are_written_with_separators_or_as_not_available() -> None:
    assert number(1234567.891, 2) == "1,234,567.89"
    assert number(142725.0, 0) == "142,725"
    assert number(math.nan, 3) == number(math.inf, 3) == number(None, 3) == "n/a"
    assert with_error(0.78649, 0.0136) == "0.786 ± 0.014"
    assert with_error(0.5, math.nan) == "0.500"


def test_predictors_are_spelled_out() -> None:
    names = ["model", "composition", "markov_5", "context_4+4", "markov_x", "other"]
    assert [readable(name) for name in names] == [
        "model",
        "base composition",
        "order-5 Markov",
        "context 4+4",
        "markov_x",
        "other",
    ]


def test_the_best_baseline_is_neither_the_model_nor_nan() -> None:
    figures = {"model": 1.0, "a": 1.4, "b": 1.3, "c": math.nan}
    assert best_baseline(figures, lowest=True) == "b"
    assert best_baseline(figures, lowest=False) == "a"
    assert best_baseline({"model": 1.0, "c": math.nan}, lowest=True) is None


@pytest.mark.parametrize("width", [1, 3, 9, 21])
def test_running_mean_is_the_naive_one(width: int) -> None:
    y = np.random.default_rng(0).normal(size=50)
    y[[3, 4, 30]] = np.nan
    y[10] = np.inf
    y[20:24] = np.nan
    reach = width // 2
    found = running_mean(y, width)
    for i, value in enumerate(found):
        part = y[max(0, i - reach) : i + reach + 1]
        part = part[np.isfinite(part)]
        assert value == pytest.approx(part.mean() if len(part) else math.nan, nan_ok=True)


def test_a_loss_axis_leaves_out_only_the_early_fall() -> None:
    curve = np.full(100, 1.3)
    curve[:5] = 9.0
    curve[60] = 2.0  # a spike must be seen
    low, high = settled_limits(curve, [1.2, math.nan])
    assert low == pytest.approx(1.2 - 0.04)
    assert high == pytest.approx(2.0 + 0.04)
    low, high = settled_limits([1.0], [])
    assert low < 1.0 < high


def _table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "label": [True, False, False, True, False, False],
            "consequence": ["stop_gained", *["synonymous_variant"] * 2, "start_lost"]
            + ["synonymous_variant"] * 2,
            "match_group": [0, 0, 0, 1, 1, 1],
            "model": [5.0, 1.0, 2.0, 0.0, 3.0, 4.0],
        }
    )


def test_each_consequence_meets_the_controls_of_its_own_groups() -> None:
    start, stop = by_consequence(_table(), ["model"])
    assert (start.consequence, stop.consequence) == ("start_lost", "stop_gained")
    assert (start.positives, start.controls) == (stop.positives, stop.controls) == (1, 2)
    assert start.auprc["model"][0] == pytest.approx(1 / 3)
    assert stop.auprc["model"][0] == 1.0
    assert stop.auprc["model"][1] == 0.0


def test_without_match_groups_all_controls_count() -> None:
    start, _ = by_consequence(_table().drop("match_group"), ["model"])
    assert start.controls == 4
    assert start.auprc["model"][0] == pytest.approx(1 / 5)


def test_a_consequence_without_controls_has_no_auprc() -> None:
    rows = _table().with_columns(match_group=pl.Series([0, 0, 0, 1, 0, 0]))
    start, stop = by_consequence(rows, ["model"])
    assert (start.controls, stop.controls) == (0, 4)
    assert all(math.isnan(value) for value in start.auprc["model"])


def test_one_consequence_is_no_comparison() -> None:
    assert by_consequence(_table().head(3), ["model"]) == []
    assert by_consequence(_table().drop("consequence"), ["model"]) == []


def test_labels_are_derived_only_where_the_genetic_code_made_them() -> None:
    assert is_derived(_table())
    assert not is_derived(_table().drop("consequence"))
    missense = pl.when("label").then(pl.lit("missense_variant")).otherwise("consequence")
    assert not is_derived(_table().with_columns(consequence=missense))
