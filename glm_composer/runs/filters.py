"""`--where`: a small language over what is known of a run, like `seed=1 and eval/yeast/auprc>0.2`.

    expression:  comparisons joined by `and`, `or`, `not` and parentheses; `and` binds tighter
    comparison:  KEY OPERATOR VALUE, with the operators =  !=  >  >=  <  <=  ~, and == for =
    word:        anything without blanks, quotes, parentheses and operators; else in '...' or "..."

Expressions become plain objects that are asked run by run. Nothing of them reaches a database.
"""

import operator as operators
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from glm_composer.errors import UserError

Value = int | float | str | tuple[str, ...]
"""What is known of a run under a key; a tuple where it has several, as with tags."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<bracket>[()])|(?P<operator>!=|>=|<=|==|[=<>~])"""
    r"""|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<word>[^\s()=<>~!'"]+)"""
)
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MEASURE = re.compile(r"([0-9]+\.?[0-9]*)([a-z]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ORDERS: dict[str, Callable[[float | str, float | str], bool]] = {
    ">": operators.gt,
    ">=": operators.ge,
    "<": operators.lt,
    "<=": operators.le,
}
# Python's own stack ends at a thousand.
_DEEPEST = 50


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A key, an operator and a value.

    Attributes:
        key: of what is known of a run.
        operator: one of those of the module's text.
        wanted: the value, as it was written.
        at: where the key begins in the expression, from 0.
    """

    key: str
    operator: str
    wanted: str
    at: int


@dataclass(frozen=True)
class Not:
    """The contrary of an expression."""

    part: "Expression"


@dataclass(frozen=True)
class And:
    """All of several expressions."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Or:
    """At least one of several expressions."""

    parts: tuple["Expression", ...]


Expression = Comparison | Not | And | Or


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        UserError: it is none; the message marks the place.
    """
    parser = _Parser(text)
    found = parser.either(0)
    if parser.token is not None:
        raise parser.error(f"expected 'and' or 'or' before {parser.token.shown}")
    return found


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """Yield all comparisons of an expression, from left to right."""
    if isinstance(expression, Comparison):
        yield expression
    elif isinstance(expression, Not):
        yield from comparisons(expression.part)
    else:
        for part in expression.parts:
            yield from comparisons(part)


def holds(expression: Expression, known: Callable[[str], Value | None]) -> bool:
    """Return whether an expression is true of a run.

    Args:
        expression: of `parse`.
        known: the run's value under a key, None if it has none. Such a run fulfils no comparison
            but `!=`.
    """
    if isinstance(expression, Comparison):
        return _compare(known(expression.key), expression.operator, expression.wanted)
    if isinstance(expression, Not):
        return not holds(expression.part, known)
    if isinstance(expression, And):
        return all(holds(part, known) for part in expression.parts)
    return any(holds(part, known) for part in expression.parts)


def marked(text: str, at: int, message: str) -> UserError:
    """Return an error that shows an expression with a caret under one of its places."""
    # Line breaks and tabs would shift the caret.
    line = "".join(" " if letter.isspace() else letter for letter in text)
    return UserError(f"{message}\n  {line}\n  {' ' * at}^")


def _compare(value: Value | None, operator: str, wanted: str) -> bool:
    if operator == "!=":
        return not _compare(value, "=", wanted)
    if value is None:
        return False
    if isinstance(value, tuple):
        return any(_compare(each, operator, wanted) for each in value)
    if operator == "~":
        return re.search(wanted, str(value)) is not None
    if operator == "=":
        return value == wanted if isinstance(value, str) else value == _number(wanted)
    left, right = _ranked(value), _ranked(wanted)
    # Neither 500ba and 20ep nor a name and a number come one before the other.
    if left is None or right is None or left[0] != right[0]:
        return False
    return _ORDERS[operator](left[1], right[1])


def _number(text: str) -> float | None:
    # Whole ones stay whole: a float does not hold every seed.
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def _ranked(value: int | float | str) -> tuple[str, float | str] | None:
    """What kind of ordered thing a value is, and its place among those; None if it is none."""
    if not isinstance(value, str):
        return "", value
    number = _number(value)
    if number is not None:
        return "", number
    measure = _MEASURE.fullmatch(value)
    if measure:
        return measure[2], float(measure[1])
    return ("date", value) if _DATE.match(value) else None


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int
    shown: str


class _Parser:
    """Walks over an expression's tokens from left to right; `token` is None at the end."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokens(text)
        self.token = next(self.tokens, None)

    def error(self, message: str) -> UserError:
        """Return an error at the token, or at the end."""
        at = len(self.text.rstrip()) if self.token is None else self.token.at
        return marked(self.text, at, f"--where: {message}")

    def take(self) -> _Token:
        """Return the token and move on."""
        token, self.token = self.token, next(self.tokens, None)
        assert token is not None
        return token

    def sees(self, kind: str, *texts: str) -> bool:
        """Return whether the token is one of these, in any case."""
        token = self.token
        return token is not None and token.kind == kind and token.text.lower() in texts

    def either(self, depth: int) -> Expression:
        """Read expressions joined by `or`."""
        parts = [self.all(depth)]
        while self.sees("word", "or"):
            self.take()
            parts.append(self.all(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all(self, depth: int) -> Expression:
        """Read expressions joined by `and`."""
        parts = [self.one(depth)]
        while self.sees("word", "and"):
            self.take()
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self, depth: int) -> Expression:
        """Read a comparison, or `not` or parentheses and what belongs to them."""
        if depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} levels deep")
        if self.sees("word", "not"):
            self.take()
            return Not(self.one(depth + 1))
        if self.sees("bracket", "("):
            opening = self.take()
            inside = self.either(depth + 1)
            if not self.sees("bracket", ")"):
                raise marked(self.text, opening.at, "--where: '(' is never closed")
            self.take()
            return inside
        return self.comparison()

    def comparison(self) -> Comparison:
        """Read KEY OPERATOR VALUE."""
        key = self.word("a key")
        if self.token is None or self.token.kind != "operator":
            raise self.error(f"expected one of = != > >= < <= ~ after {key.shown}")
        operator = self.take()
        value = self.word("a value")
        if operator.text == "~":
            try:
                re.compile(value.text)
            except (re.error, OverflowError, RecursionError) as error:
                wrong = f"--where: no regular expression: {error}"
                raise marked(self.text, value.at, wrong) from None
        sign = "=" if operator.text == "==" else operator.text
        return Comparison(key=key.text, operator=sign, wanted=value.text, at=key.at)

    def word(self, expected: str) -> _Token:
        """Read a plain or quoted word."""
        if self.token is None:
            raise self.error(f"expected {expected} at the end")
        keyword = self.sees("word", "and", "or", "not")
        if self.token.kind not in ("word", "quoted") or keyword:
            hint = "; put it in quotes if it is one" if expected == "a value" else ""
            raise self.error(f"expected {expected}, not {self.token.shown}{hint}")
        return self.take()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            quoted = text[at] in "'\""
            wrong = "a quote is never closed" if quoted else f"unexpected '{text[at]}'"
            raise marked(text, at, f"--where: {wrong}")
        kind = str(found.lastgroup)
        if kind != "space":
            name = "quoted" if kind in ("single", "double") else kind
            shown = found[0] if name == "quoted" else f"'{found[0]}'"
            yield _Token(name, found[kind], at, shown)
        at = found.end()
