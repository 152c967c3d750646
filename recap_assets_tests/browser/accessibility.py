"""What axe finds on a page, in light and dark, on a desktop and on a phone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTHS = (1280, 390)


def findings(browser: "Browser", address: str) -> Iterator[str]:
    """Each violation of axe's rules: where it was seen, the rule, and the first element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra browser")
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            # axe is a script within the page, which the page's own policy forbids.
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
            )
            page = context.new_page()
            page.goto(address)
            for rule in axe.Axe().run(page).response["violations"]:
                first = rule["nodes"][0]["html"][:200]
                yield f"{scheme}, {width} px: {rule['id']}, {len(rule['nodes'])} times: {first}"
            context.close()
