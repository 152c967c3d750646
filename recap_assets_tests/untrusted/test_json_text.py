import json

import pytest

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import depth_of, parse_json


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
