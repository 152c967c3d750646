"""Images like a file of one's own, which is decoded as hostile input, embedded, and forgotten."""

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.look import asking
from recap_assets.look.cards import cards
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.neighbours import nearest, pixels_vector
from recap_assets.look.page import PER_PAGE, rendered
from recap_assets.look.search import WAYS
from recap_assets.shards.image_headers import ImageRejected
from recap_assets.shards.images import decode
from recap_assets.untrusted.uploads import form_fields

MOST_BYTES = 16 * 2**20
"""Of a file with its form; an image's pixels are bounded by the pool's `limits`."""


async def like_a_file(request: Request) -> Response:
    """The images nearest to a file that was sent; nothing of it is kept."""
    body = await _body(request)
    fields = form_fields(request.headers.get("content-type", ""), body)
    return await run_in_threadpool(_found, request, fields)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            msg = f"a file has at most {MOST_BYTES // 2**20} MiB: make the image smaller"
            raise asking.AskedError(msg)
    return bytes(body)


def _found(request: Request, fields: dict[str, bytes]) -> Response:
    gallery = gallery_of(request)
    scorer = _scorer(gallery, fields.get("scorer", b"").decode("utf-8", "replace"))
    pixels = _pixels(gallery, fields.get("image", b""))
    found = nearest(gallery, scorer, pixels_vector(gallery, scorer, pixels), PER_PAGE)
    return rendered(
        request,
        "search.html.jinja",
        title="Search",
        query="",
        like="",
        uploaded=True,
        by=WAYS[0],
        ways=WAYS,
        scorer=scorer,
        scorers=gallery.scorers,
        embedders=gallery.embedders,
        embedder=scorer,
        searched=gallery.embeddings.searched(scorer),
        cards=cards(gallery, found, scorer, "{similarity:.3f}"),
        another="/",
        uids_at=None,
    )


def _scorer(gallery: Gallery, given: str) -> str:
    """The scorer that embeds: the one that is asked for, or the first."""
    if not gallery.embedders:
        msg = "no scorer of this experiment embeds images, so none can be compared"
        raise asking.AskedError(msg)
    return given if given in gallery.embedders else gallery.embedders[0]


def _pixels(gallery: Gallery, data: bytes) -> NDArray[np.uint8]:
    if not data:
        msg = "no file was sent: choose an image first"
        raise asking.AskedError(msg)
    try:
        return decode(data, gallery.project.pool.limits)
    except ImageRejected as error:
        msg = f"the file cannot be read as an image of the pool could: {error}"
        raise asking.AskedError(msg) from error


ROUTES = (Route("/like", like_a_file, methods=["POST"]),)
