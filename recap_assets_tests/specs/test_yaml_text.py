"""What is written in an experiment file is what is read, and nothing of it grows without bound."""

import pytest
import yaml

from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.specs.yaml_text import dump_yaml, parse_yaml, read_yaml
from recap_assets.untrusted.errors import UntrustedError
from recap_assets_tests.specs.test_loading import MINIMAL, error_of, written

SOURCE = "coca: {kind: open_clip, model: coca_ViT-B-32}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2001-13-45", "2001-13-45"),
        ("1_000", 1000),
        ("-7", -7),
        ("1e-4", 1e-4),
        ("2.5", 2.5),
        ("true", True),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
    ],
)
def test_a_value_is_what_is_written(text, value):
    assert parse_yaml(text) == value


@pytest.mark.parametrize("value", ["no", "010", "1e5", "12e4567", "5", "true", "a: b", "", "<<"])
def test_a_text_that_is_written_is_read_again_as_that_text(value):
    assert parse_yaml(dump_yaml({"a": value, "b": [1, 2.5, True, None]})) == {
        "a": value,
        "b": [1, 2.5, True, None],
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$${NAME}", "${NAME}"),
        ("$${NAME:-x y}", "${NAME:-x y}"),
        ("a $${NAME} ${NAME} b", "a ${NAME} value b"),
        ("$$${NAME}", "$value"),
        ("$$$${NAME}", "$${NAME}"),
        ("5 $$ and $${ and $$NAME", "5 $$ and $${ and $$NAME"),
    ],
)
def test_two_dollars_before_braces_are_one_of_the_text(monkeypatch, written, meant):
    monkeypatch.setenv("NAME", "value")
    assert parse_yaml(f"a: {written!r}") == {"a": meant}
    assert parse_yaml(dump_yaml({"a": meant, meant: 1})) == {"a": meant, meant: 1}


@pytest.mark.parametrize(
    "text", ["${NAME}", "$$${NAME:-x y}", "\\${NAME}", "${NAME:-\x85" + "a" * 90]
)
def test_nothing_that_is_written_is_filled_in_by_any_reader(monkeypatch, text):
    monkeypatch.setenv("NAME", "of the environment")
    value = {"a": text, "${NAME:-": [text, "}"], "b": "}"}
    assert parse_yaml(dump_yaml(value)) == yaml.safe_load(dump_yaml(value)) == value


def test_a_variable_stays_inside_its_value(monkeypatch):
    monkeypatch.setenv("RECAP_TEST", "/a b: c # d\nname: other")
    monkeypatch.setenv("RECAP_NUMBER", "5")
    text = "{at: ${RECAP_TEST}/x, n: ${RECAP_NUMBER}, s: '${RECAP_NUMBER}', d: ${NONE_SUCH:-no}}"
    assert parse_yaml(f"{text}  # lies in ${{NONE_SUCH}}") == {
        "at": "/a b: c # d\nname: other/x",
        "n": 5,
        "s": "5",
        "d": "no",
    }
    with pytest.raises(UntrustedError, match="no NONE_SUCH; set it"):
        parse_yaml("a: ${NONE_SUCH}")


def _laughs():
    lines = (f"  b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    return "junk:\n  b0: &a0 [lol]\n" + "".join(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_laughs(), "2,345,679,024 values; at most 100,000"),
        ("a: &a [*a]", "an alias holds itself"),
        ("a: " + "[" * 20_000, "deeper than 64 levels"),
        ("a: " + "[" * 65 + "]" * 65, "deeper than 64 levels"),
        ("1: a", "the key 1 is no text; put it in quotes"),
        ("true: a", "the key true is no text; put it in quotes"),
        ("? [a]\n: b", "a list as a key is no text"),
        ("!!python/object/apply:os.system [x]", "the tag !!python/object/apply:os.system is none"),
        ("a: !!int ''", "the tag !!int is none that is read; leave it out"),
        ("a: !!float x", "the tag !!float is none"),
        ("a: !!bool maybe", "the tag !!bool is none"),
        ("a: !!timestamp x", "the tag !!timestamp is none"),
        ("a: !!set {b}", "the tag !!set is none"),
        ("a: !here b", "the tag !here is none"),
        ("a: 1 # \x1b]0;", "not valid YAML: unacceptable character"),
        ("a: 1\na: 2", "there twice"),
    ],
)
def test_what_grows_or_runs_is_refused(text, told):
    with pytest.raises(UntrustedError, match=told):
        parse_yaml(text)


def test_tags_that_say_what_is_written_are_taken():
    assert parse_yaml("a: !!str 1\nb: !!int 2\nc: !!map {d: !!seq [!!bool true]}") == {
        "a": "1", "b": 2, "c": {"d": [True]},
    }  # fmt: skip


def test_an_encoding_is_told():
    assert read_yaml("a: é".encode("utf-8-sig")) == {"a": "é"}
    for written_as, told in (("utf-16", "utf-16-le"), ("latin-1", "cp1252")):
        with pytest.raises(UntrustedError, match=f"not UTF-8, it looks like {told}; save it"):
            read_yaml("a: é and much text".encode(written_as))
    with pytest.raises(UntrustedError, match="at most 1,048,576"):
        read_yaml(b"#" * 2**21)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: tiny", "name: tiny\nseed: yes", "seed: Input should be a valid integer"),
        (
            "name: tiny",
            "name: tiny\nseed: true",
            "seed: Input should be a valid integer, unable to parse string",
        ),
        ("samples: 10", "samples: false", "pool.samples: Input should be a valid integer"),
        (SOURCE, "b: {kind: transformers, model: a/b, revision: 123456}", "put it in quotes"),
        ("name: tiny", f"name: tiny\nseed: {'9' * 5000}", "5,002 characters"),
        ("name: tiny", 'name: "\\e[2Jx"', "\\x1b[2Jx"),
    ],
)
def test_a_slip_of_types_is_told_with_its_remedy(tmp_path, old, new, told):
    assert old in MINIMAL
    text = error_of(tmp_path, MINIMAL.replace(old, new, 1))
    assert told in text
    assert "\x1b" not in text


def test_what_yaml_1_1_would_turn_is_taken_as_written(tmp_path):
    text = MINIMAL.replace("all_raw:", "no:").replace(
        SOURCE, "b: {kind: transformers, model: a/b, revision: 0123456}"
    )
    experiment = load_experiment(written(tmp_path, text))
    assert list(experiment.mixes) == ["no"]
    assert experiment.sources["b"].revision == "0123456"


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    with pytest.raises(ExperimentError, match="it is a folder, not a file"):
        load_experiment(tmp_path)


@pytest.mark.parametrize("text", ["a: \0", "\ufffe", "a: b\x1b[2J", "\x0c"])
def test_a_control_character_is_named_by_its_code(text):
    with pytest.raises(UntrustedError, match="not valid YAML: unacceptable character #x"):
        parse_yaml(text)


@pytest.mark.parametrize("tag", ["binary", "timestamp", "set", "omap", "pairs"])
def test_kinds_of_older_yaml_are_refused_by_their_tag(tag):
    with pytest.raises(
        UntrustedError, match=f"not valid YAML: the tag !!{tag} is none that is read"
    ):
        parse_yaml(f"a: !!{tag} 2001-12-14")


@pytest.mark.parametrize("text", ["\x85", "a\u2028b", "\ue000", "\ue0000\ue001", "\ue00055\ue001"])
def test_rare_characters_come_back(text):
    assert parse_yaml(dump_yaml({"a": text})) == {"a": text}
