"""What `key=v1,v2` and ranges on a command line mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.errors import UserError
from glm_composer.sweeps.dimensions import Choice, Range, parse


def test_one_value_is_fixed_and_several_are_a_dimension():
    fixed, dimensions = parse(["seed=1,2, 3", "data.path=data/yeast", "model.width=64"])
    assert fixed == ["data.path=data/yeast", "model.width=64"]
    assert dimensions == [Choice(key="seed", values=("1", "2", "3"))]


def test_commas_within_brackets_and_quotes_belong_to_a_value():
    overrides = ["a=[x,y]", "b=[x,y],[z]", "c={u: 1, v: [2,3]},{}", "d='p,q',\"r,s\"", "e='p,q'"]
    fixed, dimensions = parse(overrides)
    assert fixed == ["a=[x,y]", "e='p,q'"]
    assert [each.values for each in dimensions if isinstance(each, Choice)] == [
        ("[x,y]", "[z]"),
        ("{u: 1, v: [2,3]}", "{}"),
        ("'p,q'", '"r,s"'),
    ]


def test_ranges():
    _, dimensions = parse(["lr=log:1e-4..1e-1", "layers=2..8", "decay=0..0.5"])
    assert dimensions == [
        Range(key="lr", low=1e-4, high=0.1, whole=False, log=True),
        Range(key="layers", low=2, high=8, whole=True, log=False),
        Range(key="decay", low=0, high=0.5, whole=False, log=False),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed"], "'seed' is not of the form key=value"),
        (["seed=1,2", "seed=3"], "'seed' is given twice"),
        (["seed=1,2,1"], "the value 1 is given twice"),
        (["seed=1,,2"], "an empty value"),
        (["run_name=a,b"], "'run_name' cannot be swept"),
        (["lr=3..1"], "the first number must be below the second"),
        (["lr=1..1e999"], "the first number must be below the second"),
        (["lr=log:0..1"], "a logarithmic range begins above 0"),
    ],
)
def test_what_is_refused(overrides, message):
    with pytest.raises(UserError, match=r".") as error:
        parse(overrides)
    assert message in str(error.value)


VALUES = st.one_of(
    st.text("ab01_+-", min_size=1, max_size=5),
    st.lists(st.integers(), max_size=3).map(str),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2).map(str),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=6, unique=True))
def test_values_that_are_joined_come_apart_again(values):
    assert parse([f"key={','.join(values)}"]) == ([], [Choice(key="key", values=tuple(values))])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_text_is_understood_or_refused(overrides):
    try:
        fixed, dimensions = parse(overrides)
    except UserError:
        return
    assert len(fixed) + len(dimensions) == len(overrides)
