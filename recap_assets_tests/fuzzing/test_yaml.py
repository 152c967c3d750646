"""Any text is a value of YAML 1.2's core, or one error in words; what is written is read again."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.specs.yaml_text import dump_yaml, read_yaml
from recap_assets.untrusted.errors import UntrustedError

PIECES = st.sampled_from(
    ["a", "b: ", "- ", "\n", "  ", "{", "}", "[", "]", ",", ": ", "&x ", "*x", "<<: ", "'", '"',
     "|\n", ">-\n", "? ", "!!python/name:os.system", "!!binary ", "${A:-b}", "${", "#", "---\n",
     "...", "%", "\t", "0x1", "1e9", ".nan", "~", "\0", "\ue000", "0\ue001", "\u2028", "é"]
)  # fmt: skip
VARIABLES = [
    "${A:-",
    "${HOME}",
    "$",
    "$$",
    "{",
    "}",
    "\\",
    " ",
    "\n",
    "é",
    "\x85",
    "\x07",
    "a" * 70,
]
TEXTS = st.text(max_size=12) | st.lists(st.sampled_from(VARIABLES), max_size=6).map("".join)
PLAIN = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
VALUES = st.recursive(
    PLAIN | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


def kinds(value: object) -> set[type]:
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        return set().union({dict}, *map(kinds, value.values()))
    if isinstance(value, list):
        return set().union({list}, *map(kinds, value))
    return {type(value)}


@given(st.lists(PIECES, max_size=30).map("".join).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_plain_values_or_one_error(data: bytes) -> None:
    found: object = None
    with suppress(UntrustedError):
        found = read_yaml(data)
    assert kinds(found) <= {dict, list, str, int, float, bool, type(None)}


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert read_yaml(dump_yaml(value).encode()) == value
