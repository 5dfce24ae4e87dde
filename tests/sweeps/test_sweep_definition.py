"""What a sweep may change between its starts."""

import pytest

from glm_composer.errors import UserError
from glm_composer.sweeps.definition import check_base, keep_definition


@pytest.fixture
def yaml(tmp_path):
    (tmp_path / "parent.yaml").write_text("run_name: x\nmodel: {name: bytenet, width: 8}\n")
    path = tmp_path / "child.yaml"
    path.write_text("extends: parent.yaml\nseed: 5\n")
    return path


def test_the_same_sweep_goes_on_and_a_grid_may_grow(define, tmp_path):
    keep_definition(tmp_path, define("seed=1,2", "save_interval=2ba"))
    before = (tmp_path / "sweep.json").read_text()
    keep_definition(tmp_path, define("seed=1,2", "save_interval=2ba"))
    assert (tmp_path / "sweep.json").read_text() == before
    keep_definition(tmp_path, define("seed=1,2,3", "save_interval=2ba"))
    assert '"3"' in (tmp_path / "sweep.json").read_text()


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        (("seed=1,2", "save_interval=3ba"), {}, "save_interval was 2ba, now 3ba"),
        (("seed=1,2",), {}, "save_interval was 2ba, now 4ba"),
        (("model.width=8,16", "save_interval=2ba"), {}, "swept keys was ['seed']"),
        (("seed=1,2", "save_interval=2ba"), {"metric": "x"}, "metric was validation/loss, now x"),
        (
            ("seed=1,2", "save_interval=2ba"),
            {"direction": "maximize"},
            "direction was minimize, now maximize",
        ),
        (("seed=1,2", "save_interval=2ba"), {"search": "optuna"}, "search was grid, now optuna"),
    ],
)
def test_another_sweep_is_refused(define, tmp_path, values, changes, message):
    keep_definition(tmp_path, define("seed=1,2", "save_interval=2ba"))
    with pytest.raises(UserError) as error:
        keep_definition(tmp_path, define(*values, **changes))
    assert message in str(error.value)
    assert "choose another --name" in str(error.value)


def test_a_search_keeps_its_ranges(define, tmp_path):
    keep_definition(tmp_path, define("seed=1..5", search="optuna"))
    with pytest.raises(UserError, match="dimensions was"):
        keep_definition(tmp_path, define("seed=1..6", search="optuna"))


def test_a_yaml_that_changes_in_the_midst_is_noticed_through_extends(define, tmp_path, yaml):
    definition = define("seed=1,2", file=yaml)
    keep_definition(tmp_path, definition)
    check_base(tmp_path, definition)
    parent = tmp_path / "parent.yaml"
    parent.write_text(parent.read_text().replace("width: 8", "width: 16"))
    with pytest.raises(UserError, match=r"model\.width was 8, now 16"):
        check_base(tmp_path, definition)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"base": 3}', '{"base": {}, "dimensions": 7}'])
def test_a_damaged_file_is_named(define, tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UserError, match=r"sweep\.json: not what a sweep has written"):
        keep_definition(tmp_path, define("seed=1,2"))
