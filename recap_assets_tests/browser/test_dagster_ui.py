"""Dagster's UI as people use it: the graph, a partition, and a backfill after an edit."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from recap_assets_tests.browser.dagster_ui import Ui, edited_ui
from recap_assets_tests.defs.services import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[2] / "docs"
MIX, CUT = "curated_mixes/raw_top30", "thresholds/raw_top30"
PARTITIONS = {"00000", "00001", "00002"}
SECONDS = 900
"""For what the daemon does: it looks for backfills every 30 seconds."""


@pytest.fixture(scope="module")
def ui(chromium: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Skipped, as all tests here, where there is no browser, before anything is built."""
    assert chromium.is_connected()
    with edited_ui(tmp_path_factory.mktemp("ui")) as running:
        yield running


@pytest.fixture
def shown(chromium: "Browser", ui: Ui) -> "Page":
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, base_url=ui.url)
    context.set_default_timeout(300_000)
    return context.new_page()


def test_groups_of_the_graph_are_distinct_and_hold_distinct_names(shown: "Page") -> None:
    shown.goto("/asset-groups/~explorer")
    rows = shown.locator("[data-index]")
    rows.filter(has_text="curated_mixes").first.wait_for()
    groups = [text.split("\n")[0] for text in rows.all_inner_texts()]
    assert len(groups) == len(set(groups)) == 12
    assert {"curated_mixes", "thresholds", "clip_scores_clip", "embedded_world"} <= set(groups)
    rows.filter(has_text="curated_mixes").first.locator("svg, [role=img]").first.click()
    rows.filter(has_text="raw_top30").first.wait_for()
    names = [text.split("\n")[0] for text in rows.all_inner_texts()]
    assert set(names) - set(groups) == {"raw", "raw_top30", "mixed"}
    assert len(names) == len(set(names))


def test_a_partition_shows_rows_images_and_links_that_lead_there(shown: "Page", ui: Ui) -> None:
    shown.goto(f"/assets/{MIX}?view=partitions&partition=00001")
    row = shown.locator("tr", has_text="dagster/partition_row_count")
    assert int(row.locator("td").nth(1).inner_text().replace(",", "")) > 0
    assert shown.locator("tr", has_text="result").first.locator("td").nth(1).inner_text() == (
        "computed"
    )
    images = shown.locator("tr", has=shown.get_by_text("images", exact=True))
    images.get_by_text("Show Markdown").click()
    picture = shown.locator('img[src^="data:image/jpeg"]')
    picture.wait_for()
    assert picture.evaluate("one => one.naturalWidth") == 6 * 66 - 2
    assert "of its images" in (picture.get_attribute("alt") or "")
    shown.get_by_role("button", name="Close").click()
    with shown.context.expect_page() as opened:
        shown.locator('a[href="/recap/look/lineage?asset=curated_mixes%2Fraw_top30"]').first.click()
    opened.value.wait_for_url(f"{ui.gallery}/lineage?asset=curated_mixes%2Fraw_top30")
    opened.value.get_by_role("heading", name=MIX).wait_for()


def test_the_report_leads_to_images_of_the_gallery(shown: "Page", ui: Ui) -> None:
    shown.goto("/recap/report")
    shown.locator("a.uid").first.click()
    shown.wait_for_url(f"{ui.gallery}/pair/**")
    assert shown.locator("main img").first.evaluate("one => one.naturalWidth") > 0


def test_the_pictures_of_the_docs_can_be_taken(shown: "Page", ui: Ui, tmp_path: Path) -> None:
    take = runpy.run_path(str(PICTURES / "site" / "pictures.py"))["take"]
    shown.set_viewport_size({"width": 1280, "height": 800})
    take(shown, tmp_path, ui.url, ui.gallery)
    taken = {path.name: Image.open(path) for path in tmp_path.iterdir()}
    assert taken.keys() >= {path.name for path in (PICTURES / "images").iterdir()}
    for name, picture in taken.items():
        assert picture.size == (1280, 800)
        assert len(picture.getcolors() or ()) > 20, f"{name} shows nothing"


def badge(shown: "Page") -> str:
    """What the check says beside its name."""
    shown.goto(f"/assets/{MIX}?view=checks&checkDetail=in_sync")
    shown.get_by_text("in_sync", exact=True).first.wait_for()
    shown.wait_for_timeout(2_000)
    return shown.locator("body").inner_text()


def materialize(shown: "Page", asset: str, *, partitions: bool) -> None:
    """What the button does, for all partitions of an asset that has some."""
    shown.goto(f"/assets/{asset}")
    with shown.expect_response(lambda reply: "mutation Launch" in (reply.request.post_data or "")):
        shown.get_by_role("button", name="Materialize").first.click()
        if partitions:
            shown.get_by_role("button", name="All", exact=True).click()
            shown.get_by_role("button", name="Launch backfill").click()


def newest_backfill(shown: "Page") -> tuple[str, str]:
    """Address and tags of the first backfill in the list of runs."""
    shown.goto("/runs")
    row = shown.locator("[data-index]", has=shown.locator('a[href^="/runs/b/"]')).first
    address = row.locator('a[href^="/runs/b/"]').first.get_attribute("href") or ""
    return address, row.inner_text()


def test_after_an_edit_badge_and_plan_agree_until_a_backfill_has_built_it(
    shown: "Page", ui: Ui
) -> None:
    assert ui.planned(MIX) == PARTITIONS
    wait_for(lambda: "3 of 3 are out of date" in badge(shown), SECONDS, "the badge is the plan's")
    materialize(shown, CUT, partitions=False)
    wait_for(lambda: not ui.planned(CUT), SECONDS, "the cut-off is built")
    assert ui.planned(MIX) == PARTITIONS
    materialize(shown, MIX, partitions=True)
    wait_for(lambda: not ui.planned(MIX), SECONDS, "the mix is built")
    wait_for(lambda: "up to date" in badge(shown), SECONDS, "the badge is the plan's again")
    wait_for(lambda: "recap/results: 3 computed" in newest_backfill(shown)[1], SECONDS, "computed")
    first, _ = newest_backfill(shown)
    materialize(shown, MIX, partitions=True)
    wait_for(lambda: newest_backfill(shown)[0] != first, SECONDS, "a second backfill")
    wait_for(lambda: "recap/results: 3 reused" in newest_backfill(shown)[1], SECONDS, "reused")
    assert ui.planned(MIX) == set()
