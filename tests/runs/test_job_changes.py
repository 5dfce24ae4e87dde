"""What may be set, and what a run that goes on from a checkpoint sets again."""

import pytest

from glm_composer.errors import UserError
from glm_composer.runs.changes import check_change, set_since
from glm_composer.runs.events import append_event

KEYS = ["lr_scale", "eval_interval", "save_interval", "evaluation.tables.coding.interval"]


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("lr_scale", "1", "1.0"),
        ("lr_scale", "5e-1", "0.5"),
        ("save_interval", "7ba", "7ba"),
        ("evaluation.tables.coding.interval", "2ep", "2ep"),
    ],
)
def test_a_change_has_one_form(key, value, stored):
    assert check_change(key, value, KEYS) == stored


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "101", "half", "1ba"])
def test_a_scale_is_a_number_above_zero(value):
    with pytest.raises(UserError, match="lr_scale"):
        check_change("lr_scale", value, KEYS)


@pytest.mark.parametrize("value", ["", "0ba", "10", "1.5ep", "10sp", "-1ba", "1ba\n"])
def test_an_interval_is_one(value):
    with pytest.raises(UserError, match="eval_interval"):
        check_change("eval_interval", value, KEYS)


def test_another_key_is_refused_and_the_meant_one_named():
    with pytest.raises(UserError, match="did you mean 'lr_scale'"):
        check_change("lr_scal", "1", KEYS)
    with pytest.raises(UserError, match="'seed' cannot be set"):
        check_change("seed", "1", KEYS)


def test_changes_after_the_checkpoint_are_made_again(tmp_path):
    def put(key: str, value: str, step: int, done: bool = True) -> None:
        told = {"key": key, "value": value, "configured": "x", "step": step}
        append_event(tmp_path, "request", kind="set", done=done, **told)

    def since(step: int) -> list[tuple[str, str, int]]:
        return [(each.key, each.value, each.step) for each in set_since(tmp_path, step)]

    assert since(4) == []
    append_event(tmp_path, "started", resumed_from=None)
    put("lr_scale", "0.5", 3)
    put("lr_scale", "0.25", 6)
    put("lr_scale", "9", 6, done=False)
    put("save_interval", "7ba", 8)
    append_event(tmp_path, "request", kind="save", done=True, step=9)
    assert since(4) == [("lr_scale", "0.25", 6), ("save_interval", "7ba", 8)]
    assert since(8) == [("save_interval", "7ba", 8)]
    # Gone on with from batch 4, and set otherwise before it came to batch 6 again.
    append_event(tmp_path, "started", resumed_from="ep1-ba4-rank0.pt")
    put("lr_scale", "1.0", 5)
    assert since(4) == [("save_interval", "7ba", 8), ("lr_scale", "1.0", 5)]
    # From the beginning nothing is known of earlier starts.
    append_event(tmp_path, "started", resumed_from=None)
    assert since(4) == []
    append_event(tmp_path, "request", kind="set", done=True, key="lr_scale", value="1.0")
    with pytest.raises(UserError, match=r"events\.jsonl: what was set at .* has no configured"):
        since(4)
