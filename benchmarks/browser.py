"""What a page of the UI asks its server for, recorded in a headless Chromium."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
WINDOW = (1600, 1000)
STILL_SECONDS = 4.0
"""The page is taken for loaded when nothing was asked for this long."""


@dataclass
class Asked:
    """One GraphQL request of a page."""

    operation: str
    variables: str
    started: float
    seconds: float = 0.0
    n_bytes: int = 0


def program() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def visit(url: str, screenshot: Path | None, timeout: float = 120.0) -> tuple[list[Asked], float]:
    """Open a page; its GraphQL requests, and seconds from the start to the last answer."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            str(program()), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            f"--user-data-dir={profile}", "--remote-debugging-port=0",
            f"--window-size={WINDOW[0]},{WINDOW[1]}", "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                return asyncio.run(_visit(_page(Path(profile)), url, screenshot, timeout))
            finally:
                process.terminate()


def _page(profile: Path) -> str:
    port_file = profile / "DevToolsActivePort"
    for _ in range(300):
        with suppress(OSError, IndexError, StopIteration):
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                pages = json.load(answer)
            return next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
        time.sleep(0.1)
    raise TimeoutError("chromium did not open its debugging port")


async def _visit(
    socket_url: str, url: str, screenshot: Path | None, timeout: float
) -> tuple[list[Asked], float]:
    async with connect(socket_url, max_size=None) as socket:
        await _call(socket, 1, "Network.enable")
        await _call(socket, 2, "Page.enable")
        start = time.perf_counter()
        await _send(socket, 3, "Page.navigate", url=url)
        asked: dict[str, Asked] = {}
        last = start
        while (now := time.perf_counter()) - start < timeout:
            open_ones = [one for one in asked.values() if not one.seconds]
            if asked and not open_ones and now - last > STILL_SECONDS:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    message = json.loads(await socket.recv())
                    last = _note(message, asked) or last
        if screenshot:
            shot = await _call(socket, 4, "Page.captureScreenshot")
            screenshot.write_bytes(base64.b64decode(shot["data"]))
        return list(asked.values()), last - start


def _note(message: dict[str, Any], asked: dict[str, Asked]) -> float | None:
    """Take in one event; the time, if it ended a request."""
    parameters = message.get("params", {})
    key, now = parameters.get("requestId"), time.perf_counter()
    match message.get("method"):
        case "Network.requestWillBeSent" if "/graphql" in parameters["request"]["url"]:
            body = json.loads(parameters["request"].get("postData") or "{}")
            variables = json.dumps(body.get("variables", {}))
            asked[key] = Asked(body.get("operationName", "?"), variables, now)
        case "Network.dataReceived" if key in asked:
            asked[key].n_bytes += parameters["dataLength"]
        case "Network.loadingFinished" | "Network.loadingFailed" if key in asked:
            asked[key].seconds = now - asked[key].started
            return now
    return None


async def _send(socket: ClientConnection, number: int, method: str, **parameters: str) -> None:
    await socket.send(json.dumps({"id": number, "method": method, "params": parameters}))


async def _call(socket: ClientConnection, number: int, method: str) -> dict[str, Any]:
    await _send(socket, number, method)
    while True:
        answer = json.loads(await socket.recv())
        if answer.get("id") == number:
            return answer["result"]
