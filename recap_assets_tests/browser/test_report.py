"""The report as people see it."""

import dataclasses
import re
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


def test_a_phone_shows_every_mix_of_the_main_chart(chromium: "Browser", address: str) -> None:
    shown = chromium.new_page(viewport={"width": 390, "height": 844})
    shown.goto(address)
    chart = shown.locator("figure.has-narrow")
    seen = chart.locator("svg:visible")
    assert seen.count() == 1
    box, outer = seen.bounding_box(), chart.bounding_box()
    assert box is not None
    assert outer is not None
    assert outer["x"] <= box["x"] <= box["x"] + box["width"] <= outer["x"] + outer["width"]
    texts = " ".join(seen.locator("text").all_text_contents())
    assert all(mix in texts for mix in sample.MIXES)
    shown.set_viewport_size({"width": 1280, "height": 900})
    wide = chart.locator("svg:visible").bounding_box()
    assert wide is not None
    assert wide["width"] > 2 * box["width"]
    shown.close()


def test_it_prints_on_few_sheets_with_its_images(chromium: "Browser", address: str) -> None:
    shown = chromium.new_page()
    shown.goto(address)
    printed = shown.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12, "25 with the style of a phone"
    assert printed.count(b"/DCTDecode") >= 6, "each picture of the sample is in it"
    shown.close()


def test_columns_are_those_of_a_desktop_in_print(chromium: "Browser", address: str) -> None:
    shown = chromium.new_page(viewport={"width": 500, "height": 700})
    shown.goto(address)
    shown.emulate_media(media="print")
    columns = "getComputedStyle(document.querySelector('{}')).gridTemplateColumns.split(' ').length"
    assert shown.evaluate(columns.format(".near ul")) == 6
    assert shown.evaluate(columns.format(".gallery")) == 4
    shown.close()
