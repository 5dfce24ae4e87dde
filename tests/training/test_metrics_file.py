"""One line a step, also where a step goes on after a resumption."""

import json

import pytest
from composer.core import Timestamp

from glm_composer.training.metrics_file import MetricsFile


class Resumed:
    """As much of a trainer's state as is looked at."""

    timestamp = Timestamp(batch=10)


@pytest.mark.parametrize("written", [True, False], ids=["written", "not yet written"])
def test_a_step_logged_again_after_a_resumption_has_one_line(tmp_path, written):
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 9, "loss": 1.1}]
    if written:
        lines += [{"step": 10, "loss": 1.0, "eval/t/auprc": 0.3}, {"step": 11, "loss": 0.7}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = MetricsFile(path)
    file.load_state_dict({"step": 10, "line": {"loss": 1.0}})
    file.fit_start(Resumed(), None)
    file.log_metrics({"eval/t/auprc": 0.3}, step=10)
    file.log_metrics({"loss": 0.9}, step=11)
    file.close(Resumed(), None)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 9, "loss": 1.1},
        {"step": 10, "loss": 1.0, "eval/t/auprc": 0.3},
        {"step": 11, "loss": 0.9},
    ]


@pytest.mark.parametrize("written", [True, False], ids=["written", "not yet written"])
def test_a_run_that_is_only_evaluated_again_has_one_line_of_its_last_step(tmp_path, written):
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 9, "loss": 1.1}]
    if written:
        lines.append({"step": 10, "loss": 1.0, "eval/t/auprc": 0.3})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = MetricsFile(path)
    file.load_state_dict({"step": 10, "line": {"loss": 1.0}})
    file.close(Resumed(), None)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found == (lines if written else [*lines, {"step": 10, "loss": 1.0}])
