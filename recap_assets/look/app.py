"""The gallery as a web application: its pages, and what guards them.

No page loads anything from elsewhere, runs a script in it or shows markup of the run's texts: the
content policy allows this server's own files and nothing else.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib import resources

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recap_assets.look import (
    ancestors,
    compare,
    differences,
    pair,
    results,
    search,
    set_aside,
    sources,
    thresholds,
    upload,
)
from recap_assets.look.gallery import Gallery
from recap_assets.look.page import rendered
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import safe_text
from recap_assets.untrusted.web_guard import Guard

MOST_REQUESTS = 6
"""Answered at a time: each may hold an image or a part of a table."""

PAGES = (
    search, upload, pair, sources, thresholds, differences, set_aside, ancestors, results, compare,
)  # fmt: skip

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_FILES = {
    "report.css": ("recap_assets.report", "page.css", "text/css"),
    "look.css": ("recap_assets.look", "static/look.css", "text/css"),
    "look.js": ("recap_assets.look", "static/look.js", "text/javascript"),
    "look.svg": ("recap_assets.look", "static/look.svg", "image/svg+xml"),
}


class Headers:
    """ASGI middleware that gives every response HEADERS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with more headers on the way back."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers)


def create_app(gallery: Gallery, names: Collection[str] = ()) -> Starlette:
    """The gallery's pages.

    Args:
        gallery: What they show.
        names: Host names beside those of loopback by which browsers may call the server.
    """
    pages = [route for page in PAGES for route in page.ROUTES]
    app = Starlette(
        routes=[*pages, Route("/static/{name}", static)],
        middleware=[Middleware(Headers), Middleware(Guard, names=names)],
        exception_handlers={RecapError: _refused, HTTPException: _missing},
        lifespan=_few_threads,
    )
    app.state.gallery = gallery
    app.state.paths = frozenset(route.path for route in pages)
    return app


@asynccontextmanager
async def _few_threads(_app: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = MOST_REQUESTS
    yield


def static(request: Request) -> Response:
    """A style sheet or the script, of these files and no other."""
    found = _FILES.get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    package, name, media_type = found
    content = resources.files(package).joinpath(name).read_bytes()
    headers = {"Cache-Control": "private, max-age=60"}
    return Response(content, media_type=media_type, headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    return rendered(
        request, "error.html.jinja", title="Error", status=400, words=safe_text(str(error))
    )


def _missing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    words = "There is no such page." if status == 404 else "This cannot be done here."
    return rendered(request, "error.html.jinja", title="Error", status=status, words=words)
