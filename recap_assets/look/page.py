"""A page from its template: every text of the run is escaped, and shown without what is hidden."""

from math import ceil
from typing import NamedTuple

import jinja2
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse

from recap_assets.look.gallery import gallery_of
from recap_assets.plots.colours import RAW
from recap_assets.report.filters import clipped, count, minus, number, percent
from recap_assets.untrusted.showing import one_line

PER_PAGE = 24
"""Images of one page."""

PAGES = (
    ("/", "Search"),
    ("/sources", "Sources"),
    ("/thresholds", "Thresholds"),
    ("/mixes", "Differences"),
    ("/set-aside", "Set aside"),
    ("/lineage", "Lineage"),
    ("/results", "Results"),
    ("/compare", "Compare"),
)
"""Address and title of the pages that each page links to."""

OTHER_COLOUR = "#8a9099"


class Pager(NamedTuple):
    """Where a page is in a list of images.

    Attributes:
        number: Of the page, from 0.
        n_pages: Of the list.
        before: Address of the page before; None on the first.
        after: Address of the next one; None on the last.
    """

    number: int
    n_pages: int
    before: str | None
    after: str | None


def pager(request: Request, number: int, n_rows: int) -> Pager:
    """The pages before and after one, with the address's other values as they are."""
    n_pages = max(1, ceil(n_rows / PER_PAGE))
    before = with_query(request.url, page=number - 1) if number > 0 else None
    after = with_query(request.url, page=number + 1) if number + 1 < n_pages else None
    return Pager(number, n_pages, before, after)


def with_query(url: URL, **values: object) -> str:
    """The address on this server with other values, from its path on."""
    changed = url.include_query_params(**values)
    return f"{changed.path}?{changed.query}"


def _short(score: float | None) -> str:
    return "\N{EN DASH}" if score is None else number(score, 4)


def _hexed(uid: bytes) -> str:
    return uid.hex()


_ENVIRONMENT = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=jinja2.PackageLoader("recap_assets.look"),
)
_ENVIRONMENT.filters |= {
    "percent": percent,
    "count": count,
    "minus": minus,
    "number": number,
    "clipped": clipped,
    "shown": one_line,
    "score": _short,
    "hexed": _hexed,
}


def rendered(
    request: Request, template: str, *, status: int = 200, **values: object
) -> HTMLResponse:
    """The page.

    Args:
        request: What was asked.
        template: Name of a template, such as `search.html.jinja`.
        status: Of the response.
        values: What the template is given.
    """
    gallery = gallery_of(request)
    pages = [page for page in PAGES if page[0] in request.app.state.paths]
    html = _ENVIRONMENT.get_template(template).render(
        experiment=gallery.project.experiment.name,
        pages=pages,
        path=request.url.path,
        colours=gallery.colours,
        raw=RAW,
        other_colour=OTHER_COLOUR,
        **values,
    )
    return HTMLResponse(html, status)
