"""The pictures of the docs: gallery and Dagster's UI of an experiment that is built.

`python docs/site/pictures.py FOLDER [EXPERIMENT]` starts `recap ui`, takes the pictures in a
headless Chromium and ends it; `make pictures` builds the demo first and writes into docs/images.
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
LAYS_OUT_WITHIN = 8_000
"""Milliseconds that Dagster's graph may take after its page is loaded."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 128


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


def take(folder: Path) -> None:
    """Write the pictures; UI and gallery must answer."""
    program = next(found for name in PROGRAMS if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(f"{UI}/asset-groups/~explorer", timeout=60_000)
        page.wait_for_timeout(LAYS_OUT_WITHIN)
        write_picture(page, folder / "graph.png")
        page.goto(f"{GALLERY}/?q=a+red+boat")
        page.wait_for_load_state("networkidle")
        write_picture(page, folder / "search.png")
        page.goto(f"{GALLERY}/thresholds")
        page.wait_for_load_state("networkidle")
        write_picture(page, folder / "threshold.png")
        browser.close()


if __name__ == "__main__":
    at = Path(sys.argv[1])
    at.mkdir(parents=True, exist_ok=True)
    with served(sys.argv[2] if len(sys.argv) > 2 else "demo"):
        take(at)
