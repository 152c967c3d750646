"""What stands between a server and a build that asks it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from recap_assets.captions.servers.client import models_served
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.specs.findings import Finding

_AT_ONCE = 16
"""Addresses that are asked at once: one that hangs takes twenty seconds."""


def server_findings(server: ServerSpec, where: str) -> Iterator[Finding]:
    """For each address whether a server answers and has the model; `where` names who asks."""
    with ThreadPoolExecutor(min(_AT_ONCE, len(server.addresses))) as pool:
        yield from pool.map(partial(_finding, server, where), server.addresses)


def _finding(server: ServerSpec, where: str, url: str) -> Finding:
    try:
        models = models_served(server, url)
    except CaptionServerError as error:
        return False, f"{where}: {error}"
    if server.model in models:
        return True, f"{where}: {url} serves {server.model}"
    listed = ", ".join(models[:8]) or "none"
    return False, f"{where}: {url} serves no {server.model}; it lists {listed}"
