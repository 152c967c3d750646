"""The pictures of the docs: gallery and Dagster's UI of an experiment that is built.

`python docs/site/pictures.py FOLDER [EXPERIMENT]` starts `recap ui`, takes the pictures in a
headless Chromium and ends it; `make pictures` builds the demo first and writes into docs/images.
A browser test takes them as well, of a small experiment.
"""

import io
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PORT = 3790
UI, GALLERY = f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT + 1}"
STARTS_WITHIN = 180.0
LOADS_WITHIN = 120_000
LAYS_OUT_WITHIN = 8_000
SCROLLS_WITHIN = 3_000
"""Milliseconds: for a page, for Dagster's graph on it, and for the way to a part of a page."""

MIX = "curated_mixes/raw_top30"
"""Whose partition is shown."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 256


@contextmanager
def served(experiment: str) -> Iterator[None]:
    """The UI and the gallery of an experiment, until the end of the block.

    Raises:
        TimeoutError: They do not answer in time.
    """
    recap = Path(sys.executable).with_name("recap")
    command = [recap, "--experiment", experiment, "ui", "--port", str(PORT)]
    with subprocess.Popen([*command, "--look-port", str(PORT + 1)]) as process:  # noqa: S603 - ours
        try:
            _wait_for(f"{UI}/server_info")
            _wait_for(GALLERY)
            yield
        finally:
            process.terminate()


def _wait_for(address: str) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
        else:
            return
    msg = f"{address} does not answer within {STARTS_WITHIN:g} s"
    raise TimeoutError(msg)


def write_picture(page: Page, to: Path) -> None:
    """What the window shows, in as few colours as its flat areas need."""
    shown = Image.open(io.BytesIO(page.screenshot()))
    shown.convert("RGB").quantize(COLOURS).save(to, optimize=True)


def take(page: Page, folder: Path, ui: str, gallery: str) -> None:
    """Write the pictures.

    Args:
        page: An empty one, 1280 by 800 pixels.
        folder: Where they are written.
        ui: Address of Dagster's UI, of an experiment with a mix MIX.
        gallery: Of its gallery.
    """
    page.goto(f"{ui}/asset-groups/~explorer", timeout=LOADS_WITHIN)
    page.wait_for_timeout(LAYS_OUT_WITHIN)
    write_picture(page, folder / "graph.png")
    _open_images(page, ui)
    write_picture(page, folder / "partition.png")
    page.goto(f"{gallery}/?q=a+red+boat", timeout=LOADS_WITHIN)
    page.wait_for_load_state("networkidle")
    write_picture(page, folder / "search.png")
    page.goto(f"{gallery}/thresholds", timeout=LOADS_WITHIN)
    page.wait_for_load_state("networkidle")
    write_picture(page, folder / "threshold.png")
    page.goto(f"{ui}/recap/report#cut-offs", timeout=LOADS_WITHIN)
    page.wait_for_timeout(SCROLLS_WITHIN)
    write_picture(page, folder / "report.png")


def _open_images(page: Page, ui: str) -> None:
    """The images of a partition, over its metadata."""
    page.goto(f"{ui}/assets/{MIX}?view=partitions&partition=00000", timeout=LOADS_WITHIN)
    images = page.locator("tr", has=page.get_by_text("images", exact=True))
    images.get_by_text("Show Markdown").click(timeout=LOADS_WITHIN)
    page.locator('img[src^="data:image/jpeg"]').wait_for(timeout=LOADS_WITHIN)
    page.wait_for_timeout(1_000)


def main(folder: Path, experiment: str) -> None:
    """Write the pictures of an experiment that is built."""
    folder.mkdir(parents=True, exist_ok=True)
    program = next(found for name in PROGRAMS if (found := shutil.which(name)))
    with served(experiment), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        take(page, folder, UI, GALLERY)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "demo")
