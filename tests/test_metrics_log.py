import json
import math
from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics


def test_objects_come_back_in_order_with_full_precision_and_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "a": 0.1 + 0.2}, {"step": 2, "a": math.nan, "b": 1e-300}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_metrics(path)
    assert first == rows[0]
    assert math.isnan(second["a"])
    assert second["b"] == 1e-300


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 2.0}\n{"step": 2, "a"')
    assert read_metrics(path) == [{"step": 1, "a": 2.0}]


@pytest.mark.parametrize("line", ["{step: 2}", "[2]", '{"a": 1.0}', '{"step": "2"}', ""])
def test_a_damaged_whole_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: ") as error:
        read_metrics(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot be read"):
        read_metrics(tmp_path / "metrics.jsonl")
