"""What the loader promises of any input, found by search: dumps read back, no traceback."""

import dataclasses

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from origin_schema import Circle, Frame, Ink, Square
from origin_schema import Picture as Numbers
from test_settings import Circle as Round
from test_settings import Frame as Wooden
from test_settings import Ink as Coloured
from test_settings import Picture as Titled
from test_settings import Square as Box

from glm_composer.composition import compose
from glm_composer.config import Config
from glm_composer.config_tools.origin import annotate, find_origins
from glm_composer.errors import UserError
from glm_composer.settings import dump, load, structure

QUIET = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXT = st.text(max_size=12) | st.text(alphabet="$\\{}[]?:#&*!|>'\"%@`~.,- \t\nae1", max_size=8)
COUNT = st.integers(min_value=1, max_value=10**25)
SIZE = st.floats(min_value=1e-300, max_value=1e300)
INK = st.builds(Coloured, colour=st.sampled_from(["Black", "Blue"]), drops=COUNT)
LABEL = st.text(min_size=1, max_size=5)
SHAPE = st.builds(Round, radius=SIZE, filled=st.booleans()) | st.builds(
    Box, side=SIZE.filter(lambda side: side != 13)
)
TITLED = st.builds(
    Titled,
    title=TEXT,
    copies=COUNT,
    scale=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    glossy=st.booleans(),
    tags=st.lists(TEXT, max_size=3),
    margin=COUNT | st.dictionaries(LABEL, COUNT, max_size=2),
    frame=st.builds(Wooden, wood=TEXT, ink=INK),
    inks=st.dictionaries(LABEL, INK, max_size=2),
    main=SHAPE,
    more=st.dictionaries(LABEL, SHAPE, max_size=2),
)


@pytest.mark.slow
@QUIET
@given(TITLED)
@example(Titled(title="${copies}", main=Round()))
@example(Titled(title="\\${copies}", main=Round()))
@example(Titled(title="a\\\\${copies}\\", main=Round()))
@example(Titled(title="???", main=Round()))
@example(Titled(title="t", inks={"<<": Coloured(colour="Blue")}, main=Round()))
def test_whatever_is_dumped_reads_back(tmp_path, picture):
    file = tmp_path / "dumped.yaml"
    file.write_text(dump(picture), encoding="utf-8")
    assert load(Titled, file) == picture
    composed = compose(file)
    annotated = annotate(picture, find_origins(picture, composed))
    assert yaml.safe_load(annotated) == yaml.safe_load(dump(picture))


PATHS = ["", "frame.", "frame.ink.", "inks.a.", "main.", "more.x.", "more.circle."]
FIELDS = {
    field.name
    for schema in (Numbers, Frame, Ink, Circle, Square)
    for field in dataclasses.fields(schema)
}


@QUIET
@given(
    place=st.sampled_from(PATHS),
    key=st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
        lambda key: key not in FIELDS and yaml.safe_load(key) == key and key not in "yYnN"
    ),
    value=st.integers() | st.none() | st.booleans() | st.just({}) | st.just([1]),
    where=st.sampled_from(["file", "parent", "override"]),
)
def test_an_unknown_key_is_refused_wherever_it_is(place, key, value, where, tmp_path):
    nested = value
    for part in reversed(f"{place}{key}".split(".")):
        nested = {part: nested}
    shapes = "main: {name: circle}\nmore: {x: {name: square}}\n"
    (tmp_path / "base.yaml").write_text(shapes)
    text = yaml.safe_dump(nested, default_flow_style=True, width=1000)
    overrides = []
    if where == "override":
        overrides = [
            f"{place}{key}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"
        ]
        (tmp_path / "main.yaml").write_text("extends: base.yaml\n")
    elif where == "file":
        (tmp_path / "main.yaml").write_text(yaml.safe_dump({"extends": "base.yaml"} | nested))
    else:
        (tmp_path / "middle.yaml").write_text(text)
        (tmp_path / "main.yaml").write_text("extends: [base.yaml, middle.yaml]\n")
    with pytest.raises(UserError, match=rf"unknown key '{place}{key}'"):
        load(Numbers, tmp_path / "main.yaml", overrides)


@QUIET
@given(
    key=st.sampled_from(
        ["copies", "frame.wood", "frame.ink.drops", "main.radius", "inks.new.tins"]
    ),
    value=st.integers(-(10**30), 10**30),
)
def test_an_override_is_the_same_as_an_extending_file(key, value, tmp_path):
    (tmp_path / "main.yaml").write_text("main: {name: circle}\nframe: {wood: 3}\n")
    nested = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    (tmp_path / "child.yaml").write_text(yaml.safe_dump({"extends": "main.yaml"} | nested))
    changed = load(Numbers, tmp_path / "main.yaml", [f"{key}={value}"])
    assert changed == load(Numbers, tmp_path / "child.yaml")
    assert changed != load(Numbers, tmp_path / "main.yaml") or value in (3, -8)


SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.dates()
    | st.binary(max_size=3)
)
KEY = (
    st.sampled_from([*FIELDS, "extends", "data", "model", "evaluation", "a"])
    | TEXT
    | st.integers()
)
NESTED = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=12,
)
BYTES = (
    st.dictionaries(KEY, NESTED, max_size=5).map(
        lambda value: yaml.dump(value).encode(errors="replace")
    )
    | st.text(max_size=60).map(lambda text: text.encode(errors="replace"))
    | st.text(alphabet="abc:-{}[],&*!<>|'\"#?%@ \n\t$0123.", max_size=60).map(str.encode)
    | st.binary(max_size=40)
)
OVERRIDE = TEXT | st.builds("{}={}".format, st.sampled_from([*FIELDS, "a.b", "a[0]"]), TEXT)


@pytest.mark.slow
@settings(QUIET, max_examples=120)
@given(
    content=BYTES,
    overrides=st.lists(OVERRIDE, max_size=2),
    schema=st.sampled_from([Titled, Numbers, Config]),
)
@example(b"a: &a [*a]", [], Numbers)
@example(b"copies: ${pages}\npages: ${copies}\n", [], Numbers)
@example(b"copies: " + b"9" * 5000, [], Numbers)
@example(b"[" * 3000, [], Numbers)
@example(b"a: " + b"{a: " * 300 + b"1" + b"}" * 300, [], Numbers)
@example(b"? [a]\n: 1", [], Numbers)
@example(b"? {a: 1}\n: 1", [], Numbers)
@example(b"null: 1", [], Numbers)
@example(b"<<: 1", [], Numbers)
@example(b"<<: {copies: 1}", [], Numbers)
@example(b"--- {}\n--- {}\n", [], Numbers)
@example(b"extends: ['\\0']", [], Numbers)
@example(b"extends: ${copies}", [], Numbers)
@example(b"copies: '${oc.env:NO_SUCH_VARIABLE}'", [], Numbers)
@example(b"copies: '${'", [], Numbers)
@example(b"copies: 2020-99-99", [], Numbers)
@example(b"copies: !!binary x", [], Numbers)
@example(b"copies: !!int x", [], Numbers)
@example(b"copies: 1:99", [], Numbers)
@example(b"", ["a[=1"], Numbers)
@example(b"", ["frame.[=1"], Numbers)
@example(b"", ["copies=${"], Numbers)
@example(b"", ["copies=" + "[" * 3000], Numbers)
@example(b"", ["." * 5000 + "=1"], Numbers)
def test_no_input_makes_a_traceback(tmp_path, content, overrides, schema):
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    try:
        composed = compose(file, overrides)
        found = structure(schema, composed.raw, str(file))
    except UserError:
        return
    assert yaml.safe_load(annotate(found, find_origins(found, composed)))
    assert isinstance(found, schema)
