"""The gallery as people use it: a real browser at a real server."""

from typing import TYPE_CHECKING

import pytest

from recap_assets_tests.browser.accessibility import findings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PAGES = (
    "/", "/sources", "/thresholds", "/mixes", "/set-aside", "/lineage", "/results",
    "/results?task=coarse", "/compare?judge=anna",
)  # fmt: skip


@pytest.fixture
def shown(chromium: "Browser", gallery: str) -> "Page":
    """An empty page that fails where a script does, or the page's own policy forbids something."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=gallery)
    context.set_default_timeout(300_000)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    return page


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(chromium: "Browser", gallery: str, path: str) -> None:
    assert list(findings(chromium, f"{gallery}{path}")) == []


def test_axe_finds_nothing_on_the_page_of_an_image(
    chromium: "Browser", gallery: str, shown: "Page"
) -> None:
    shown.goto("/")
    pair = shown.locator("a[href*='/pair/']").first.get_attribute("href")
    assert list(findings(chromium, f"{gallery}{pair}")) == []


def test_a_search_leads_to_a_pair_with_its_image(shown: "Page") -> None:
    shown.goto("/")
    shown.locator("input[type=search], input[name=q], form input[type=text]").first.fill("a red")
    shown.keyboard.press("Enter")
    shown.locator("a[href*='/pair/']").first.click()
    shown.wait_for_url("**/pair/**")
    image = shown.locator("main img").first
    assert image.evaluate("one => one.complete && one.naturalWidth > 0")


def test_dragging_the_line_counts_again_and_moves_the_slider(shown: "Page") -> None:
    shown.goto("/thresholds")
    counted = shown.locator("[data-of=n_pairs]")
    before, slid = counted.text_content(), shown.locator(".slide input").input_value()
    box = shown.locator(".cut > svg").bounding_box()
    assert box is not None
    shown.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    shown.mouse.down()
    shown.mouse.move(box["x"] + box["width"] * 0.05, box["y"] + 50, steps=4)
    shown.mouse.up()
    shown.wait_for_function(
        "before => document.querySelector('[data-of=n_pairs]').textContent !== before", arg=before
    )
    assert shown.locator(".slide input").input_value() != slid
    assert counted.text_content() != before


def test_sources_have_columns_of_one_width(shown: "Page") -> None:
    shown.goto("/sources")
    heads = "[...document.querySelectorAll('.sides thead th')].map(one => one.offsetWidth)"
    _, *of_sources = shown.evaluate(heads)
    assert len(of_sources) > 1
    assert max(of_sources) - min(of_sources) <= 1


def test_ten_pairs_are_judged_by_keys(shown: "Page") -> None:
    shown.goto("/compare?judge=bert")
    for number in range(10):
        assert f"{number} compared" in (shown.locator(".duel").text_content() or "")
        with shown.expect_navigation():
            shown.keyboard.press("120"[number % 3])
    assert "10 compared" in (shown.locator("body").text_content() or "")
