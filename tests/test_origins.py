"""Where values come from: files, lines and overrides against what the files say there."""

import itertools
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from origin_schema import Picture

from glm_composer.composition import compose
from glm_composer.config_tools.origin import annotate, find_origins
from glm_composer.settings import dump, structure


def trace(path, *overrides):
    """Settings of a file, and their origins as text by dotted key; removed ones with a minus."""
    composed = compose(Path(path), overrides)
    picture = structure(Picture, composed.raw, str(path))
    found = find_origins(picture, composed)
    text = {".".join(key): str(origin) for key, origin in found.values.items()}
    text |= {"-" + ".".join(key): str(origin) for key, origin in found.removed.items()}
    return picture, text, annotate(picture, found)


@pytest.fixture
def origins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_trace(main, *overrides, **others):
        for name, text in {"main": main, **others}.items():
            Path(f"{name}.yaml").write_text(text)
        return trace("main.yaml", *overrides)[1]

    return write_and_trace


def test_without_a_word_all_is_default(origins):
    found = origins("# nothing\n")
    assert set(found.values()) == {"default"}
    assert set(found) >= {"copies", "tags", "margin.left", "frame.ink.drops", "main.name", "more"}


def test_every_kind_of_section(origins):
    found = origins(
        "# first\n"
        "\n"
        "copies: 1\n"  # 3
        "tags:\n- 1\n- 2\n"  # 4
        "margin: {top: 3,\n  bottom: 4}\n"  # 7
        "frame:\n  ink:\n    drops: 5\n"  # 9
        "inks:\n  red: {drops: 6}\n"  # 12
        "main:\n  name: square\n  side: 7\n"  # 14
        "more:\n  circle:\n    radius: 8\n  big:\n    name: square\n",  # 17
        "frame.wood=9",
    )
    expected = {
        "copies": "main.yaml:3",
        "pages": "default",
        "tags": "main.yaml:4",
        "margin.top": "main.yaml:7",
        "margin.bottom": "main.yaml:8",
        "frame.wood": "override frame.wood=9",
        "frame.ink.drops": "main.yaml:11",
        "frame.ink.tins": "default",
        "inks.red.drops": "main.yaml:13",
        "inks.red.tins": "default",
        "main.name": "main.yaml:15",
        "main.side": "main.yaml:16",
        "main.colour": "default",
        # Its name is its label.
        "more.circle.name": "main.yaml:18",
        "more.circle.radius": "main.yaml:19",
        "more.circle.colour": "default",
        "more.big.name": "main.yaml:21",
        "more.big.side": "default",
        "more.big.colour": "default",
    }
    assert found == expected


def test_of_several_parents_the_last_wins_and_a_chain_goes_on(origins):
    found = origins(
        "extends: [a.yaml, b.yaml]\nframe: {wood: 1}",
        a="copies: 2\npages: 3\nframe:\n  wood: 4\n  ink: {tins: 5}",
        b="extends: c.yaml\ncopies: 6",
        c="\n\npages: 7\nframe: {ink: {drops: 8}}",
    )
    assert found["copies"] == "b.yaml:2"
    assert found["pages"] == "c.yaml:3"
    assert found["frame.wood"] == "main.yaml:2"
    assert found["frame.ink.tins"] == "a.yaml:5"
    assert found["frame.ink.drops"] == "c.yaml:4"


def test_a_renamed_section_forgets_what_was_below(origins):
    base = "main:\n  name: circle\n  radius: 1\n  colour: 2\n"
    found = origins("extends: base.yaml\nmain:\n  name: square\n", base=base)
    assert [found[f"main.{key}"] for key in ("name", "side", "colour")] == [
        "main.yaml:3",
        "default",
        "default",
    ]
    kept = origins("extends: base.yaml\nmain:\n  name: circle\n", base=base)
    assert (kept["main.name"], kept["main.radius"]) == ("main.yaml:3", "base.yaml:3")
    found = origins(base, "main.side=3", "main.name=square")
    assert found["main.side"] == "override main.side=3"
    assert found["main.name"] == "override main.name=square"
    assert found["main.colour"] == "default"


def test_a_label_that_several_files_mention_comes_from_the_first(origins):
    base = "\nmore:\n  circle: {radius: 1}\n"
    found = origins("extends: base.yaml", "more.circle.colour=2", base=base)
    assert found["more.circle.name"] == "base.yaml:3"
    assert found["more.circle.colour"] == "override more.circle.colour=2"


def test_null_entries(origins):
    base = "inks:\n  red: {drops: 1}\nmore:\n  circle: {}\n  square: {}\nframe: {wood: 2}"
    found = origins(
        "extends: base.yaml\ninks:\n  red: null\nmore:\n  circle:\nframe:\n", base=base
    )
    assert found["inks"] == "base.yaml:1"
    assert found["-inks.red"] == "main.yaml:3"
    assert found["-more.circle"] == "main.yaml:5"
    assert found["more.square.name"] == "base.yaml:5"
    # A null section has its defaults.
    assert found["frame.wood"] == "default"
    middle = "extends: base.yaml\ninks: {red: null}"
    again = origins("extends: middle.yaml", "inks.red.tins=3", base=base, middle=middle)
    assert again["inks.red.drops"] == "default"
    assert again["inks.red.tins"] == "override inks.red.tins=3"


def test_interpolations_are_where_they_are_written(origins):
    found = origins(
        "copies: 1\npages: ${copies}\ninks:\n  red: {drops: 2}\n  blue: ${inks.red}\n", "copies=3"
    )
    assert found["copies"] == "override copies=3"
    assert found["pages"] == "main.yaml:2"
    assert found["inks.blue.drops"] == "main.yaml:5"
    assert found["inks.blue.tins"] == "default"


def test_anchors_merged_mappings_and_odd_keys(origins):
    found = origins(
        "inks:\n"
        "  red: &red\n"
        "    drops: 1\n"
        "    tins: 2\n"
        "  blue:\n"
        "    <<: *red\n"
        "    tins: 3\n"
        "  green: *red\n"
        "  0x10: {tins: 4}\n"
        "  'a.b': {tins: 5}\n"
        "  yes: {tins: 6}\n"
    )
    assert found["inks.blue.drops"] == "main.yaml:3"
    assert found["inks.blue.tins"] == "main.yaml:7"
    assert found["inks.green.tins"] == "main.yaml:4"
    assert found["inks.16.tins"] == "main.yaml:9"
    assert found["inks.a.b.tins"] == "main.yaml:10"
    assert found["inks.True.tins"] == "main.yaml:11"


def test_paths_are_shown_from_here(tmp_path, monkeypatch):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/main.yaml").write_text("extends: ../../base.yaml\n")
    (tmp_path / "base.yaml").write_text("copies: 1\n")
    monkeypatch.chdir(tmp_path / "deep")
    assert trace("er/main.yaml")[1]["copies"] == "../base.yaml:1"
    monkeypatch.chdir(tmp_path)
    assert trace(tmp_path / "deep/er/main.yaml")[1]["copies"] == "base.yaml:1"
    # Where a directory is a link, `..` is not what it seems.
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "far/away/main.yaml").write_text("extends: ../base.yaml\n")
    (tmp_path / "far/base.yaml").write_text("\ncopies: 2\n")
    (tmp_path / "linked").symlink_to(tmp_path / "far/away")
    assert trace("linked/main.yaml")[1]["copies"] == "linked/../base.yaml:2"


INK = st.lists(st.sampled_from(["drops", "tins"]), unique=True).map(
    lambda keys: dict.fromkeys(keys, 0)
)
CIRCLE = st.lists(st.sampled_from(["radius", "colour"]), unique=True).map(
    lambda keys: {"name": "circle"} | dict.fromkeys(keys, 0)
)
SQUARE = st.lists(st.sampled_from(["side", "colour"]), unique=True).map(
    lambda keys: {"name": "square"} | dict.fromkeys(keys, 0)
)
UNNAMED = st.lists(st.just("colour"), max_size=1).map(lambda keys: dict.fromkeys(keys, 0))
FILES = st.fixed_dictionaries(
    {},
    optional={
        "copies": st.just(0),
        "pages": st.sampled_from([0, "${copies}"]),
        "tags": st.just([0, 0]),
        "margin": st.dictionaries(st.sampled_from(["top", "left"]), st.just(0), min_size=1),
        "frame": st.none()
        | st.fixed_dictionaries({}, optional={"wood": st.just(0), "ink": st.none() | INK}),
        "inks": st.dictionaries(st.sampled_from("ab"), st.none() | INK),
        "main": CIRCLE | SQUARE,
        "more": st.fixed_dictionaries(
            {}, optional={"x": st.none() | CIRCLE | SQUARE, "circle": st.none() | UNNAMED}
        ),
    },
)


def numbered(value, numbers):
    """Every 0 becomes a number that no other place has."""
    if isinstance(value, dict):
        return {key: numbered(inner, numbers) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbered(inner, numbers) for inner in value]
    return next(numbers) if value == 0 else value


def written(value, random, indent=0):
    """Yaml with one key a line, and comments and empty lines among them."""
    lines = []
    for key, inner in value.items():
        lines += random.choice([[], [], [""], ["# key: 5"]])
        nested = isinstance(inner, dict) and inner
        shown = (
            ""
            if nested
            else f" {yaml.safe_dump(inner, default_flow_style=True).split(chr(10))[0]}"
        )
        lines.append(f"{' ' * indent}{key}:{shown}")
        lines += written(inner, random, indent + 3) if nested else []
    return lines


def at(path, place):
    """The value of a dotted key as a line of a file has it."""
    name, _, line = place.rpartition(":")
    return yaml.safe_load((path / name).read_text().splitlines()[int(line) - 1])


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(FILES, min_size=1, max_size=4),
    overrides=st.lists(
        st.sampled_from(
            ["copies", "frame.wood", "frame.ink.tins", "inks.a.drops", "more.x.colour"]
        )
    ),
    random=st.randoms(use_true_random=False),
)
def test_the_place_of_every_value_says_that_value(files, overrides, random, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = itertools.count(1)
    # What an interpolation asks for has to be somewhere.
    files[-1] = {"copies": 0, **files[-1]}
    for number, content in enumerate(files):
        later = range(number + 1, len(files))
        parents = [f"{each}.yaml" for each in later if each == number + 1 or random.random() < 0.3]
        random.shuffle(parents)
        text = written({"extends": parents} | numbered(content, numbers), random)
        Path(f"{number}.yaml").write_text("\n".join(text))
    given_values = {f"{key}={next(numbers)}" for key in overrides if key != "more.x.colour"}
    given_values |= (
        {"more.x.name=square", "more.x.side=900"} if "more.x.colour" in overrides else set()
    )
    picture, found, text = trace("0.yaml", *sorted(given_values))

    nested = yaml.safe_load(dump(picture))
    # Annotated, it is the same yaml, and every place is said once.
    assert yaml.safe_load(text) == nested
    assert sorted(re.findall(r"  # ([^#\n]*)$", text, re.MULTILINE)) == sorted(found.values())
    defaults = {str(value) for value in range(-11, 0)} | {"circle", "square", "{}", "[-10]"}
    for key, place in found.items():
        if key.startswith("-"):
            last = key.rpartition(".")[2]
            assert at(tmp_path, place) == {last: None}
            continue
        value = nested
        for part in key.split("."):
            value = value[part]
        if place == "default":
            assert str(value) in defaults
        elif place.startswith("override "):
            says = place.removeprefix("override ")
            assert says == f"{key}={value}"
        else:
            says = at(tmp_path, place)
            last = key.rpartition(".")[2]
            label = key.split(".")[-2] if last == "name" else None
            if last in says:
                wanted = picture.copies if says[last] == "${copies}" else says[last]
                # A section that ended up empty is said where it was opened.
                assert value == wanted or (value == {} and wanted is None)
            else:
                assert label in says
                assert value == label == "circle"
        if isinstance(value, int) and value > 0:
            assert re.search(rf": {value}\s+# {re.escape(place)}$", text, re.MULTILINE)


def test_comments_stay_out_of_long_texts(tmp_path, monkeypatch):
    from test_settings import Picture as Titled

    monkeypatch.chdir(tmp_path)
    title = "words and " * 30 + "\n\nmore: # of them\n"
    Path("main.yaml").write_text(yaml.safe_dump({"title": title, "tags": [title, "b"]}))
    composed = compose(Path("main.yaml"))
    picture = structure(Titled, composed.raw, "main.yaml")
    text = annotate(picture, find_origins(picture, composed))
    assert yaml.safe_load(text) == yaml.safe_load(dump(picture))
    assert "# main.yaml:" in text
