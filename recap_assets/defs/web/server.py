"""Dagster's web server as a process of its own: `python -m recap_assets.defs.web.server`."""

import logging
import sys

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from recap_assets.defs.code_location import target
from recap_assets.defs.session import Session
from recap_assets.defs.web.pages import add_pages
from recap_assets.untrusted.web_guard import Guard

POLL_MILLISECONDS = 2_000


def serve(host: str, port: int, gallery_port: int, names: list[str]) -> None:
    """Serve the experiment that the environment names until the process is stopped.

    Args:
        host: Address to listen on.
        port: Its port.
        gallery_port: Of the gallery beside it.
        names: Host names beside those of loopback by which browsers may call the server.
    """
    workspace = Session.from_environment().project.workspace
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target(), version=__version__) as context,
    ):
        app = create_app_from_workspace_process_context(
            context, live_data_poll_rate=POLL_MILLISECONDS
        )
        add_pages(app, workspace.report, gallery_port)
        app.add_middleware(Guard, names=names)
        uvicorn.run(app, host=host, port=port, log_level="warning")


def main(words: list[str]) -> None:
    """Host, port, the gallery's port and further names, in that order."""
    host, port, gallery_port, *names = words
    logging.getLogger("dagster").setLevel(logging.WARNING)
    serve(host, int(port), int(gallery_port), names)


if __name__ == "__main__":
    main(sys.argv[1:])
