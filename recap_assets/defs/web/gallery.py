"""The gallery as a process of its own: `python -m recap_assets.defs.web.gallery`."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import uvicorn

from recap_assets.defs.session import Session
from recap_assets.look.app import create_app
from recap_assets.look.gallery import Gallery

MOST_CONNECTIONS = 64
"""Of browsers at once; more are refused."""


def serve_gallery(session: Session, host: str, port: int, names: Sequence[str] = ()) -> None:
    """Serve the gallery of an experiment until the process is stopped.

    Args:
        session: The experiment.
        host: Address to listen on.
        port: Its port.
        names: Host names, beside loopback's and `host`, by which browsers may call the server.
    """
    # The list of shards, too, stays as the last build left it.
    project = replace(session.project, is_read_only=True)
    app = create_app(Gallery(project, session.read_records), [host, *names])
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
    )


def main(words: list[str]) -> None:
    """Host, port and further names, in that order; the environment names the experiment."""
    host, port, *names = words
    serve_gallery(replace(Session.from_environment(), only_reads=True), host, int(port), names)


if __name__ == "__main__":
    main(sys.argv[1:])
