"""Numbers below zero are printed with a minus sign, and hyphens of words stay what they are."""

import pytest

from recap_assets.report.filters import minus, number, percent, points, unbroken


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("-0.5", "\u22120.5"),
        ("a -0.013 against raw", "a \u22120.013 against raw"),
        ("blip-2 -3, from -1 to 2 (-4.5)", "blip-2 \u22123, from \u22121 to 2 (\u22124.5)"),
        ("score \u2265 -0.1", "score \u2265 \u22120.1"),
        ("2026-11-29, b-32, ViT-B-32, 1e-05", "2026-11-29, b-32, ViT-B-32, 1e-05"),
        ("texts that match '-5'", "texts that match '-5'"),
        ("up - down, --json", "up - down, --json"),
    ],
)  # fmt: skip
def test_a_hyphen_before_a_number_is_a_minus(typed: str, printed: str) -> None:
    assert minus(typed) == printed


def test_numbers_have_their_digits() -> None:
    assert number(-0.23456) == "\u22120.235"
    assert number(0.23456, 4) == "0.2346"
    assert points(-0.0123) == "\u22121.2"


def test_a_number_and_its_unit_may_be_kept_on_one_line() -> None:
    assert unbroken(percent(0.24)) == "24.0\u00a0%"
