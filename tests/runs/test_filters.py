"""The language of --where, against Python's own `and`, `or` and `not`."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.errors import UserError
from glm_composer.runs.filters import comparisons, holds, parse

KEYS = ("model.name", "eval/yeast/auprc", "seed", "tag", "a key")
WORDS = ("bytenet", "transformer", "500ba", "20ep", "1e-3", "and", "it's", "2026-11-01", "x'; --")
PYTHON = {"=": "==", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}

numbers = st.integers(-3, 3) | st.floats(-3, 3).map(lambda x: round(x, 2))
known = st.dictionaries(st.sampled_from(KEYS), numbers, max_size=5)


def quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, str]:
    """An expression of ours over numbers, and the same in Python over a dict `known`."""
    kind = draw(st.sampled_from(["compare", "and", "or", "not"] if depth else ["compare"]))
    if kind == "compare":
        key, value = draw(st.sampled_from(KEYS)), draw(numbers)
        operator = draw(st.sampled_from(list(PYTHON)))
        blank = draw(st.sampled_from(["", " ", "\t "]))
        ours = f"{quoted(key)}{blank}{operator}{blank}{value}"
        absent = operator == "!="
        python = f"(known[{key!r}] {PYTHON[operator]} {value} if {key!r} in known else {absent})"
        return ours, python
    ours, python = draw(expressions(depth - 1))
    if kind == "not":
        return f"not ({ours})", f"(not ({python}))"
    right, right_python = draw(expressions(depth - 1))
    if draw(st.booleans()):
        return f"({ours}) {kind.upper()} ({right})", f"({python}) {kind} ({right_python})"
    # Without parentheses in either language: `and` binds tighter in both.
    return f"{ours} {kind} {right}", f"{python} {kind} {right_python}"


@settings(deadline=None)
@given(expressions(), known)
def test_an_expression_is_what_python_says(expression, known):
    ours, python = expression
    assert holds(parse(ours), known.get) == eval(python, {"known": known})


@settings(deadline=None)
@given(st.text() | st.text("()=<>!~'\" ab1.andort", max_size=40))
def test_any_text_is_an_expression_or_an_error_that_marks_its_place(text):
    try:
        parsed = parse(text)
    except UserError as error:
        message, line, caret = str(error).split("\n")
        assert message.startswith("--where: ")
        assert caret.strip() == "^"
        assert len(caret) <= len(line) + 1
    else:
        assert all(
            text[each.at :].lstrip("'\"").startswith(each.key) for each in comparisons(parsed)
        )
        holds(parsed, {"a": 1, "b": "2"}.get)


@settings(deadline=None)
@given(st.sampled_from(WORDS), st.sampled_from(WORDS))
def test_words_are_equal_or_not_and_quotes_hold_anything(value, wanted):
    assert holds(parse(f"k={quoted(wanted)}"), {"k": value}.get) == (value == wanted)
    assert holds(parse(f"k != {quoted(wanted)}"), {"k": value}.get) == (value != wanted)


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        # Durations of one unit have an order, of two none.
        ("k>=500ba", "1000ba", True),
        ("k<500ba", "1000ba", False),
        ("k<20ep", "10ba", False),
        ("k>20ep", "1000ba", False),
        # So have dates, also shortened ones.
        ("k>2026-11-01", "2026-11-22T04:18:46+00:00", True),
        ("k<2026-11-01", "2026-11-22T04:18:46+00:00", False),
        # A word is no number.
        ("k>0", "bytenet", False),
        ("k<bytenet", 3, False),
        ("k=1.0", 1, True),
        ("k=1e-3", 0.001, True),
        # No float holds them apart.
        ("k=9007199254740993", 9007199254740992, False),
        ("k=18446744073709551615", "18446744073709551615", True),
        ("k>9223372036854775807", "18446744073709551615", True),
        # A regular expression, anywhere in the text.
        ("k~H[12]00", "NVIDIA H200", True),
        ("k~^H200", "NVIDIA H200", False),
        ("k~'^(a|b)$'", "b", True),
        # One of several words.
        ("k=paper", ("draft", "paper"), True),
        ("k!=paper", ("draft", "paper"), False),
        ("k~^pap", ("draft", "paper"), True),
        ("k=draft,paper", ("draft", "paper"), False),
        # What a run lacks.
        ("k=1", None, False),
        ("k!=1", None, True),
        ("k~.", None, False),
        ("not k>1", None, True),
        ("k == 0.3", 0.3, True),
        ("k==x", "y", False),
    ],
)
def test_comparisons(expression, value, expected):
    assert holds(parse(expression), {"k": value}.get) is expected


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("model.name=bytenet and eval/auprc>", "expected a value at the end", 34),
        ("a===1", "expected a value, not '='", 3),
        ("a 1", "expected one of = != > >= < <= ~ after 'a'", 2),
        ("a=1 b=2", "expected 'and' or 'or' before 'b'", 4),
        ("a=1 && b=2", "expected 'and' or 'or' before '&&'", 4),
        ("(a=1 or b=2", "'(' is never closed", 0),
        ("a=1)", "expected 'and' or 'or' before ')'", 3),
        ("a=or", "put it in quotes if it is one", 2),
        ("a='x", "a quote is never closed", 2),
        ("!a", "unexpected '!'", 0),
        ("a~'('", "no regular expression", 2),
        ("a~'x{99999999999}'", "no regular expression", 2),
        ("", "expected a key at the end", 0),
        ("(" * 2000, "levels deep", 51),
        ("not " * 2000 + "a=1", "levels deep", 204),
    ],
)
def test_errors_mark_the_place(text, message, at):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        parse(text)
    line, caret = str(error.value).split("\n")[1:]
    assert line == f"  {text}"
    assert caret == " " * (at + 2) + "^"
