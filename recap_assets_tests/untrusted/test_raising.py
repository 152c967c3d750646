"""What an error says is cleaned where it is kept; the error stays what it is."""

import pytest

from recap_assets.untrusted.raising import clean_errors

SAID = "\x1b[2J postgresql://me:hunter2@db"
SHOWN = r"\x1b[2J postgresql://me:[hidden]@db"


def test_an_error_and_what_led_to_it_say_nothing_secret() -> None:
    first, second = ValueError(SAID, 7), KeyError(SAID)
    first.__cause__ = second
    with pytest.raises(ValueError, match="hidden") as raised, clean_errors():
        raise first
    assert raised.value is first
    assert raised.value.args == (SHOWN, 7)
    assert raised.value.__cause__ is second
    assert second.args == (SHOWN,)
