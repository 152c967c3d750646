"""Pages of ours that Dagster's web server serves beside its own: the report, and the gallery's."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from recap_assets.defs.links import GALLERY_PAGES, REPORT_PAGE
from recap_assets.report.gallery_links import with_gallery_at

HEADERS = {
    # What is on it comes from the pool: it may run nothing, and knows nothing of the server. The
    # gallery, which it links to, is a site of its own.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_pages(app: Starlette, page: Path, gallery_port: int) -> None:
    """Serve what materializations link to.

    Args:
        app: Dagster's own, whose last route takes every address.
        page: The report; it need not be there yet.
        gallery_port: Of the gallery, which is on the host by which the server is called.
    """

    def report(_request: Request) -> Response:
        if not page.is_file():
            return PlainTextResponse("The report is not built yet.\n", 404, HEADERS)
        text = with_gallery_at(page.read_text(encoding="utf-8"), GALLERY_PAGES)
        return Response(text, headers=HEADERS, media_type="text/html")

    def gallery(request: Request) -> Response:
        at = request.url.path.removeprefix(GALLERY_PAGES)
        there = request.url.replace(scheme="http", port=gallery_port, path=at)
        return RedirectResponse(str(there), 307)

    routes = app.router.routes
    routes.insert(0, Route(REPORT_PAGE, report))
    routes.insert(0, Route(f"{GALLERY_PAGES}/{{path:path}}", gallery))
