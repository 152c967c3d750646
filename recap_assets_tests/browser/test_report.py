"""The report as people see it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recap_assets.report import page
from recap_assets_tests.browser.accessibility import findings
from recap_assets_tests.report import sample_data as sample
from recap_assets_tests.report.test_captioners import ROWS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("report") / "index.html"
    data = dataclasses.replace(sample.report_data(), captioners=ROWS)
    file.write_text(page.render(data), encoding="utf-8")
    return file.as_uri()


def test_axe_finds_nothing(chromium: "Browser", address: str) -> None:
    assert list(findings(chromium, address)) == []


def test_nothing_reaches_beyond_a_phone(chromium: "Browser", address: str) -> None:
    shown = chromium.new_page(viewport={"width": 390, "height": 844})
    shown.goto(address)
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    shown.close()
