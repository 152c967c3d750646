"""What stands between a server and a build that asks it."""

from collections.abc import Iterator

from recap_assets.captions.servers.client import models_served
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.specs.findings import Finding


def server_findings(server: ServerSpec, where: str) -> Iterator[Finding]:
    """Whether the server answers, and has the model; `where` names who asks."""
    try:
        models = models_served(server)
    except CaptionServerError as error:
        yield False, f"{where}: {error}"
        return
    listed = ", ".join(models[:8]) or "none"
    if server.model in models:
        yield True, f"{where}: {server.base_url} serves {server.model}"
    else:
        yield False, f"{where}: {server.base_url} serves no {server.model}; it lists {listed}"
