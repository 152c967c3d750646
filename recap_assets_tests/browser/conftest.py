"""A Chromium of this machine, and the gallery behind a real server; `make test-browser`."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import uvicorn

from recap_assets.graph.records import NoRecords
from recap_assets.look.app import create_app
from recap_assets.look.gallery import Gallery
from recap_assets_tests.look.written_results import TOOK, with_costs, write_results
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
STAGES = ("world", "models", "pool", "captions", "scores", "mixes", "diversity")
STARTS_WITHIN = 300.0


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """A headless browser; tests skip, with the reason, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(PROGRAMS)} on the PATH")
    with playwright.sync_playwright() as started:
        # Chromium's own sandbox needs rights that containers do not give; the pages are ours.
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the gallery of a small pool that was built up to its mixes, with results."""
    training = {**EXPERIMENT["training"], "seeds": [0, 1]}
    bench = Bench(tmp_path_factory.mktemp("browsed"), tiny_experiment(training=training))
    bench.build(*STAGES)
    write_results(bench.project)
    with_costs(bench.project, TOOK)
    app = create_app(Gallery(replace(bench.project, is_read_only=True), NoRecords))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + STARTS_WITHIN
        while not server.started and time.monotonic() < until:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
