"""What a nested value is when written out is told without writing it out."""

import time
from typing import Any

import pytest

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.nested import check_size


def laughs(levels: int) -> list[Any]:
    """A list that holds 9 to the power of `levels` strings, each part of it once in memory."""
    value: list[Any] = ["lol"] * 9
    for _ in range(levels):
        value = [value] * 9
    return value


def test_parts_that_are_there_many_times_count_each_time() -> None:
    check_size(laughs(2), 10_000)
    began = time.process_time()
    with pytest.raises(UntrustedError, match=r"more than 65,536 characters"):
        check_size({"a": laughs(30)}, 65_536)
    assert time.process_time() - began < 30


def test_a_value_that_holds_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UntrustedError, match="deeper than 64 levels"):
        check_size(value, 65_536)


@pytest.mark.parametrize(("value", "limit"), [("x" * 11, 10), ({"x" * 11: 1}, 10), ([1] * 11, 10)])
def test_letters_keys_and_parts_count(value: Any, limit: int) -> None:
    with pytest.raises(UntrustedError):
        check_size(value, limit)
    check_size(value, 100)
