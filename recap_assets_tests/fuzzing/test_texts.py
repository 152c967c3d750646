"""Any bytes are a text that can be shown and stored, or none with a word on why."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from recap_assets.shards.sample_texts import (
    MAX_TEXT_BYTES,
    TEXT_NOTES,
    FoundText,
    clean_text,
    text_of_bytes,
    text_of_fields,
)
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def check(found: FoundText) -> None:
    assert found.note is None or found.note in TEXT_NOTES
    if found.text is not None:
        assert found.text == found.text.strip() != ""
        assert "\0" not in found.text
        assert len(found.text.encode()) <= MAX_TEXT_BYTES


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-16")), st.booleans())
def test_any_bytes(data: bytes, is_cut: bool) -> None:
    found = text_of_bytes(data, is_cut=is_cut)
    check(found)
    # Nothing is replaced: such a character stands there only where the bytes have it.
    if b"\xef\xbf\xbd" not in data and b"\xfd\xff" not in data and b"\xff\xfd" not in data:
        assert "\ufffd" not in (found.text or "")


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_a_text_comes_back_from_every_encoding_with_a_mark(text: str, encoding: str) -> None:
    # The mark of UTF-16 and a NUL are the mark of UTF-32.
    assume(encoding != "utf-16" or not text.startswith("\0"))
    assert text_of_bytes(text.encode(encoding)).text == clean_text(text.removeprefix("\ufeff"))


@given(st.dictionaries(st.sampled_from(["caption", "text", "a.b"]) | st.text(max_size=2), VALUES))
def test_any_json_gives_a_text_or_says_why_not(content: dict[str, object]) -> None:
    check(text_of_fields(content, ("caption", "text", "a.b")))
    parsed = parse_json(json.dumps(content).encode(), 2**20)
    assert isinstance(parsed, dict)


@given(st.binary(max_size=60) | st.text('{}[]":,1\\aé\x00', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_one_error(data: bytes) -> None:
    told = "it"
    try:
        parse_json(data, 2**10)
    except UntrustedError as error:
        told = str(error)
    assert told.startswith("it")
