"""From yaml and overrides to dataclasses: what is composed, what is refused and in which words."""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import yaml
from pydantic import PositiveFloat, PositiveInt

from glm_composer.errors import UserError
from glm_composer.registry import Registry
from glm_composer.settings import dump, load, named, named_each

shapes = Registry("shapes_for_tests")


@dataclass(frozen=True, kw_only=True)
class Circle:
    name: str = "circle"
    radius: PositiveFloat = 1.0
    filled: bool = False


@dataclass(frozen=True, kw_only=True)
class Square:
    name: str = "square"
    side: PositiveFloat = 2.0
    filled: bool = False

    def __post_init__(self) -> None:
        if self.side == 13:
            raise ValueError("side (13) brings bad luck")


@shapes.register("circle")
def draw_circle(settings: Circle) -> str:
    return f"circle {settings.radius}"


@shapes.register("square")
def draw_square(settings: Square) -> str:
    return f"square {settings.side}"


@dataclass(frozen=True, kw_only=True)
class Ink:
    colour: Literal["Black", "Blue"]
    drops: PositiveInt = 1


@dataclass(frozen=True, kw_only=True)
class Frame:
    wood: str = "oak"
    ink: Ink = field(default_factory=lambda: Ink(colour="Black"))


@dataclass(frozen=True, kw_only=True)
class Picture:
    title: str
    copies: PositiveInt = 3
    scale: float | None = None
    glossy: bool = False
    tags: list[str] = field(default_factory=list)
    margin: PositiveInt | dict[str, PositiveInt] = 1
    frame: Frame = field(default_factory=Frame)
    inks: dict[str, Ink] = field(default_factory=dict)
    main: Any = named(shapes, "circle")
    more: dict[str, Any] = named_each(shapes)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Writes files, `main.yaml` first, and reads that with overrides."""
    monkeypatch.chdir(tmp_path)

    def load_files(main, *overrides, **others):
        for name, text in {"main": main, **others}.items():
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / f"{name}.yaml").write_bytes(data)
        return load(Picture, "main.yaml", overrides)

    return load_files


@pytest.fixture
def refuse(read):
    """The message of an error, checked to be one line that starts with its file or override."""

    def message(main, *overrides, **others):
        with pytest.raises(UserError) as error:
            read(main, *overrides, **others)
        text = str(error.value)
        assert "\n" not in text
        assert text.startswith(
            ("main.yaml: ", "override ", *(f"{name}.yaml: " for name in others))
        )
        return text

    return message


def test_defaults_live_in_the_dataclasses(read):
    assert read("title: t") == Picture(title="t", main=Circle())


def test_every_kind_of_field_is_read(read):
    picture = read(
        """
        title: t
        copies: 4
        scale: 1e-3
        glossy: yes
        tags: [a, 2, "0x3"]
        margin: {left: 2}
        frame: {ink: {colour: Blue, drops: 5}}
        inks: {one: {colour: Black}, 2: {colour: Blue}}
        main: {name: square, side: 4}
        more: {circle: {}, big: {name: circle, radius: 9}}
        """
    )
    assert picture == Picture(
        title="t",
        copies=4,
        scale=0.001,
        glossy=True,
        tags=["a", "2", "0x3"],
        margin={"left": 2},
        frame=Frame(ink=Ink(colour="Blue", drops=5)),
        inks={"one": Ink(colour="Black"), "2": Ink(colour="Blue")},
        main=Square(side=4),
        more={"circle": Circle(), "big": Circle(radius=9)},
    )


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("copies=7", {"copies": 7}),
        ("scale=1e-3", {"scale": 0.001}),
        ("scale=null", {"scale": None}),
        ("glossy=true", {"glossy": True}),
        ("title=2024", {"title": "2024"}),
        ("title=a=b", {"title": "a=b"}),
        ("title='1e3'", {"title": "1e3"}),
        ("tags=[x,3]", {"tags": ["x", "3"]}),
        ("frame.ink.drops=2", {"frame": Frame(ink=Ink(colour="Blue", drops=2))}),
        ("frame={wood: elm}", {"frame": Frame(wood="elm", ink=Ink(colour="Blue"))}),
        ("frame=null", {"frame": Frame()}),
        ("inks.a.colour=Black", {"inks": {"a": Ink(colour="Black")}}),
        ("more.square.side=3", {"more": {"square": Square(side=3)}}),
        ("title=${frame.wood}", {"title": "oak"}),
    ],
)
def test_an_override_changes_its_key_and_nothing_else(read, override, changed):
    main = "{title: t, scale: 2, tags: [q], frame: {wood: oak, ink: {colour: Blue}}}"
    assert read(main, override) == dataclasses.replace(read(main), **changed)


def test_later_overrides_win(read):
    assert read("title: t", "copies=1", "copies=2").copies == 2


def test_extends_a_chain(read):
    parts = {"middle": "{extends: deep.yaml, copies: 2}", "deep": "{title: deep, copies: 1}"}
    assert read("{extends: middle.yaml, glossy: true}", **parts) == Picture(
        title="deep", copies=2, glossy=True, main=Circle()
    )


def test_extends_a_list_in_which_the_last_wins(read):
    parts = {
        "one": "{title: one, frame: {wood: ash}, tags: [a, b]}",
        "two": "{title: two, frame: {ink: {colour: Blue}}, tags: [c]}",
    }
    picture = read("extends: [one.yaml, two.yaml]", **parts)
    assert picture.title == "two"
    assert picture.frame == Frame(wood="ash", ink=Ink(colour="Blue"))
    assert picture.tags == ["c"]


def test_extended_files_are_relative_to_the_file(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.yaml").write_text("extends: sub/a.yaml")
    (tmp_path / "sub/a.yaml").write_text("extends: b.yaml")
    (tmp_path / "sub/b.yaml").write_text("title: b")
    assert load(Picture, tmp_path / "main.yaml").title == "b"


def test_one_file_may_be_extended_twice(read):
    parts = {"a": "extends: base.yaml", "b": "extends: base.yaml", "base": "title: base"}
    assert read("extends: [a.yaml, b.yaml]", **parts).title == "base"


@pytest.mark.parametrize("how", ["file", "override"])
def test_another_name_starts_the_section_afresh(read, how):
    base = "{title: t, main: {name: circle, radius: 5, filled: true}}"
    if how == "file":
        picture = read("{extends: base.yaml, main: {name: square}}", base=base)
    else:
        picture = read(base, "main.name=square")
    assert picture.main == Square(filled=False)


def test_the_same_name_keeps_the_section(read):
    base = "{title: t, main: {name: circle, radius: 5}}"
    picture = read("{extends: base.yaml, main: {name: circle, filled: true}}", base=base)
    assert picture.main == Circle(radius=5, filled=True)


def test_a_name_for_a_section_without_one_keeps_it(read):
    base = "{title: t, main: {radius: 5}, more: {circle: {radius: 6}}}"
    picture = read(base, "main.name=circle", "more.circle.name=circle")
    assert picture.main == Circle(radius=5)
    assert picture.more == {"circle": Circle(radius=6)}


def test_the_order_of_a_new_name_and_its_settings_does_not_matter(read):
    main = "{title: t, main: {name: circle, radius: 5}}"
    for overrides in (["main.name=square", "main.side=3"], ["main.side=3", "main.name=square"]):
        assert read(main, *overrides).main == Square(side=3)


def test_null_takes_out_a_labelled_section(read):
    main = "{title: t, more: {circle: {}, square: {}}, inks: {a: {colour: Blue}}}"
    picture = read(main, "more.circle=null", "inks.a=null")
    assert picture.more == {"square": Square()}
    assert picture.inks == {}


def test_interpolation_sees_overrides_and_the_environment(read, monkeypatch):
    monkeypatch.setenv("STUDIO", "attic")
    main = "{title: '${oc.env:STUDIO}/${copies}', copies: 2, inks: {a: {colour: Blue}}}"
    assert read(main, "copies=5").title == "attic/5"


KEYS = "title, copies, scale, glossy, tags, margin, frame, inks, main, more"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{titel: t}", f"unknown key 'titel'; did you mean 'title'? valid keys: {KEYS}"),
        ("{title: t, xyzzy: 1}", f"unknown key 'xyzzy'; valid keys: {KEYS}"),
        ("{title: t, 7: 1}", f"unknown key '7'; valid keys: {KEYS}"),
        (
            "{title: t, frame: {ink: {color: Blue}}}",
            "unknown key 'frame.ink.color'; did you mean 'frame.ink.colour'? "
            "valid keys: colour, drops",
        ),
        (
            "{title: t, inks: {red: {colour: Blue, drop: 1}}}",
            "unknown key 'inks.red.drop'; did you mean 'inks.red.drops'? "
            "valid keys: colour, drops",
        ),
        (
            "{title: t, main: {name: circle, side: 2}}",
            "unknown key 'main.side'; valid keys: name, radius, filled",
        ),
        (
            "{title: t, more: {square: {syde: 2}}}",
            "unknown key 'more.square.syde'; did you mean 'more.square.side'? "
            "valid keys: name, side, filled",
        ),
        ("{copies: 2}", "missing key 'title'"),
        ("{title: t, frame: {ink: {drops: 2}}}", "missing key 'frame.ink.colour'"),
        ("{title: t, inks: {red: {}}}", "missing key 'inks.red.colour'"),
        (
            "{title: t, main: {name: sqare}}",
            "'main.name': unknown name 'sqare' in shapes_for_tests; valid names: circle, square; "
            "did you mean 'square'?",
        ),
        (
            "{title: t, more: {sqare: {}}}",
            "'more.sqare.name': unknown name 'sqare' in shapes_for_tests; valid names: circle, "
            "square; did you mean 'square'?",
        ),
        ("{title: t, main: circle}", "'main' needs a 'name'; valid names: circle, square"),
        ("{title: t, main: null}", "'main' needs a 'name'; valid names: circle, square"),
        ("{title: t, more: {x: 3}}", "'more.x' needs a 'name'; valid names: circle, square"),
        ("{title: t, more: [circle]}", "'more' must be a mapping of names to sections, not"),
        ("{title: t, inks: 3}", "'inks' must be a mapping of names to sections, not 3"),
        ("{title: t, inks: {red: 3}}", "'inks.red' must be a mapping, not 3"),
        ("{title: t, frame: oak}", "'frame' must be a mapping, not 'oak'"),
    ],
)
def test_unknown_and_missing_keys(refuse, text, expected):
    assert refuse(text).startswith(f"main.yaml: {expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("copies=many", "'copies' = 'many': input should be a valid integer, unable to parse"),
        ("copies=1.5", "'copies' = 1.5: input should be a valid integer, got a number with"),
        ("copies=0", "'copies' = 0: input should be greater than 0"),
        ("copies=true", "'copies' = True: expected int, not bool"),
        ("copies=[1]", "'copies' = [1]: input should be a valid integer"),
        ("copies=null", "'copies' = None: input should be a valid integer"),
        ("scale=big", "'scale' = 'big': input should be a valid number, unable to parse"),
        ("scale=.inf", "'scale' = inf: input should be a finite number"),
        ("scale=.nan", "'scale' = nan: input should be a finite number"),
        ("scale=true", "'scale' = True: expected float, not bool"),
        ("glossy=1", "'glossy' = 1: expected bool, not int"),
        ("glossy=maybe", "'glossy' = 'maybe': input should be a valid boolean"),
        ("title=[a]", "'title' = ['a']: input should be a valid string"),
        ("title=on", "'title' = True: input should be a valid string"),
        ("title=1e3", "'title' = 1000.0: expected str, not float"),
        ("tags=a", "'tags' = 'a': input should be a valid list"),
        ("tags=[a,[b]]", "'tags[1]' = ['b']: input should be a valid string"),
        ("margin=wide", "'margin' = 'wide': input should be a valid integer"),
        ("margin={left: wide}", "'margin.left' = 'wide': input should be a valid integer"),
        # Case is part of the valid values.
        (
            "frame.ink.colour=blue",
            "'frame.ink.colour' = 'blue': input should be 'Black' or 'Blue'",
        ),
        ("inks.a={colour: Red}", "'inks.a.colour' = 'Red': input should be 'Black' or 'Blue'"),
        ("main.radius=-1", "'main.radius' = -1: input should be greater than 0"),
        ("more.square.side=13", "more.square: side (13) brings bad luck"),
        ("title=???", "Missing mandatory value: title"),
        ("title=${nowhere}", "Interpolation key 'nowhere' not found"),
    ],
)
def test_wrong_values(refuse, override, expected):
    main = "{title: t, frame: {ink: {colour: Blue}}, main: {name: circle}}"
    assert refuse(main, override).startswith(f"main.yaml: {expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("copies", "override 'copies' is not of the form key=value"),
        ("=3", "override '=3' is not of the form key=value"),
        ("", "override '' is not of the form key=value"),
        ("copies={", "override 'copies={': while parsing a flow node"),
        (".copies=3", "main.yaml: unknown key ''"),
        ("frame..wood=oak", "main.yaml: unknown key 'frame.'"),
        ("extends=other.yaml", "main.yaml: unknown key 'extends'"),
    ],
)
def test_bad_overrides(refuse, override, expected):
    assert refuse("title: t", override).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing key 'title'"),
        ("# nothing yet\n", "missing key 'title'"),
        ("[1, 2]", "expected a mapping of keys to values at the top"),
        ("3", "not a readable yaml file: "),
        ("title: t\n  copies: 3\n", r"not a readable yaml file: .*main\.yaml., line 2, column 9"),
        ("title: a\ncopies: [1\n", r"not a readable yaml file: .* line 3, column 1"),
        ("title: a\ntitle: b\n", r"not a readable yaml file: .*duplicate key title.* line 2"),
        ("!!python/object:os.system {}", "not a readable yaml file: could not determine a const"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a readable yaml file: 'utf-8' codec can't decode"),
        (b"title: \x00", "not a readable yaml file: .*control characters"),
        ("extends: 3", "'extends' must be a file or a list of files, not 3"),
        ("extends: {a: b}", "'extends' must be a file or a list of files, not {'a': 'b'}"),
        ("extends: main.yaml", r"extends itself \(.*main\.yaml -> main\.yaml\)"),
    ],
)
def test_files_that_are_no_settings(refuse, text, expected):
    assert re.match(f"main.yaml: {expected}", refuse(text))


def test_an_extended_file_that_is_not_there(read):
    with pytest.raises(
        UserError, match=r"^away\.yaml: no such file \(extended by .*main\.yaml\)$"
    ):
        read("extends: away.yaml")


def test_a_longer_cycle_shows_its_way(read):
    way = r"main\.yaml -> .*a\.yaml -> .*b\.yaml -> main\.yaml"
    with pytest.raises(UserError, match=rf"^main\.yaml: extends itself \(.*{way}\)$"):
        read("extends: a.yaml", a="extends: b.yaml", b="extends: main.yaml")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("away.yaml", "away.yaml: no such file"),
        (".", ".: not a readable yaml file: [Errno 21] Is a directory"),
        ("main.yaml/a", "main.yaml/a: not a readable yaml file: [Errno 20] Not a directory"),
    ],
)
def test_paths_that_are_no_files(read, path, expected):
    read("title: t")
    with pytest.raises(UserError) as error:
        load(Picture, path)
    assert str(error.value).startswith(expected)


def test_an_error_in_an_extended_file_names_that_file(refuse):
    message = refuse("extends: base.yaml", base="title: [")
    assert message.startswith("base.yaml: not a readable yaml file")


LIKE_SOMETHING_ELSE = [
    "1e3", "12", "0x1f", "1_000", "1.5", ".inf", "on", "no", "True", "null", "~", "", " x ",
    "a: b", "# c", "- d", "2024-01-01", "12:30:45", "'q'", '"', "[x]", "{y", "two\nlines", "tab\t",
    "é",
]  # fmt: skip


@pytest.mark.parametrize("text", LIKE_SOMETHING_ELSE)
def test_dumped_strings_read_back_as_they_were(read, text):
    picture = Picture(title=text, tags=[text], frame=Frame(wood=text), main=Square())
    assert read(dump(picture)) == picture


def test_a_dump_says_everything():
    picture = Picture(title="t", main=Circle(), more={"big": Square(side=3.0)})
    assert yaml.safe_load(dump(picture)) == dataclasses.asdict(picture)
