"""Prompts with names in braces."""

import pytest

from recap_assets.specs.prompts import filled, names_in


def test_names_are_found_once_each_in_their_order() -> None:
    assert names_in("{b}, {raw} and {b}: {{not_this}} {{{long_name_2}}}") == (
        "b",
        "raw",
        "long_name_2",
    )
    assert names_in("Describe the image.") == ()


def test_what_is_filled_in_names_nothing_itself() -> None:
    texts = {"raw": "{a} }} {{", "a": "\\1 a cat"}
    assert filled("{raw}|{{a}}|{a}", texts) == "{a} }} {{|{a}|\\1 a cat"


@pytest.mark.parametrize(
    "prompt", ["{", "a } b", "{Raw}", "{raw.text}", "{}", "{ raw }", '{"a": 1}', "{{raw}", "{0}"]
)
def test_a_single_brace_is_refused_with_what_to_write(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"a single [{}] in .*: write \{name\} for a source or a"):
        names_in(prompt)
