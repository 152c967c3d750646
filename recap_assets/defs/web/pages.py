"""Pages of ours that Dagster's web server serves beside its own: the report."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from recap_assets.defs.links import REPORT_PAGE

HEADERS = {
    # What is on it comes from the pool: it may run nothing, and knows nothing of the server.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "sandbox allow-popups",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_report(app: Starlette, page: Path) -> None:
    """Serve the report where materializations link to it.

    Args:
        app: Dagster's own, whose last route takes every address.
        page: The report; it need not be there yet.
    """

    async def report(_request: Request) -> Response:
        if not page.is_file():
            return PlainTextResponse("The report is not built yet.\n", 404, HEADERS)
        return FileResponse(page, headers=HEADERS, media_type="text/html")

    app.router.routes.insert(0, Route(REPORT_PAGE, report))
