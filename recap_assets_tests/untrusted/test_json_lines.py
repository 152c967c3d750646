"""JSON lines: the short way of plain lines takes nothing that the careful way would not."""

import json

import pytest

from recap_assets.untrusted.json_lines import read_json_lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": 1} {"a": 2}', "is no JSON"),
        (b'{"a": 1},', "is no JSON"),
        (b'{"a": 1}\xc2\xa0', "is no JSON"),
        (b'{"a": 1', "is no JSON"),
        (b'{"a": "\x81\x8d\x00"}', "fits no encoding"),
        (b'{"a":' * 30_000, "nests too deep"),
        (b"[1]", "is no JSON object"),
        (b"\xc2\xa0", "is no JSON"),
    ],
)
def test_a_damaged_line_costs_itself_alone_and_has_its_number(line, words):
    (found, *_) = read_json_lines(iter([b'{"a": 0}\n' + line + b'\n{"a": 3}\n']))
    assert found.rows == [{"a": 0}, {"a": 3}]
    assert found.numbers == [1, 3]
    assert found.damage.n == 1
    assert "line 2" in found.damage.examples[0]
    assert words in found.damage.examples[0]


def test_blanks_around_an_object_and_the_empty_object_are_read():
    rows = [{}, {"a": "\u00fc"}, {"a": [1, {"b": None}]}, {}]
    lines = [
        " {}",
        json.dumps(rows[1], ensure_ascii=False) + "\r",
        json.dumps(rows[2]) + " \t",
        "{}",
    ]
    (found, *_) = read_json_lines(iter(["\n\n".join([*lines, ""]).encode()]))
    assert found.rows == rows
    assert found.numbers == [1, 3, 5, 7]
    assert not found.damage.n
