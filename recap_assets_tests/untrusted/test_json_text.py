import json

import pytest

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import depth_of, json_items, parse_json


@pytest.mark.parametrize("value", [{"a": [1, {'b["{': '\\"]'}]}, "text", 3.5, None, []])
def test_what_is_json_is_read(value):
    data = json.dumps(value)
    assert parse_json(data.encode(), 1000) == value
    assert parse_json(data.encode("utf-8-sig"), 1000) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 20_000 + b"]" * 20_000, "nests deeper"),
        (b" " * 50_001, "at most 50,000"),
        (b"{", "no JSON"),
        ("中国人的照片".encode("gbk"), "not UTF-8"),
    ],
)
def test_what_is_none_is_refused_in_words(data, words):
    with pytest.raises(UntrustedError, match=words):
        parse_json(data, 50_000)


def test_brackets_in_strings_do_not_count():
    assert depth_of('{"a[": [1, {"b\\"{": 2}], "[[[": "]"}') == 3


@pytest.mark.parametrize(
    "text", ["[]", " [ ] ", "[1]", '[1, {"a": []} ,\n"]"]\n', "\ufeff[null,NaN]"]
)
def test_the_items_of_a_list_are_those_of_the_whole(text):
    assert repr(list(json_items(text.encode(), 100))) == repr(parse_json(text.encode(), 100))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "no list"), ("", "no list"), ("[1", "no comma"), ("[1 2]", "no comma"),
        ("[1,]", "no JSON"), ("[,]", "no JSON"), ("[1] 2", "more follows its list"),
        ("[" * 100_000, "nests deeper"), ("[" + "1," * 300_000, "at most 500,000"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_told_where_it_is_met(text, words):
    with pytest.raises(UntrustedError, match=words):
        list(json_items(text.encode(), 500_000))


def test_items_come_before_what_is_behind_them_is_read():
    items = json_items(b'[{"a": 1}, {"b"', 100)
    assert next(items) == {"a": 1}
    with pytest.raises(UntrustedError, match="no JSON"):
        next(items)
