"""Search: images by what a text means, by words of their captions, by likeness, by uid."""

import polars as pl
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.look import asking
from recap_assets.look.cards import FOUND, cards, drawn_images
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.neighbours import image_vector, nearest, text_vector
from recap_assets.look.page import PER_PAGE, rendered, with_query
from recap_assets.mixes.of_image import uid_range

MOST_UIDS = 10_000
"""Of one list that is downloaded."""

WAYS = ("meaning", "words", "uid")


def search(request: Request) -> Response:
    """The page with a search's images, or with drawn ones where nothing is searched for."""
    gallery = gallery_of(request)
    found, note = _found(request, gallery, PER_PAGE)
    like, query = asking.text(request, "like"), asking.text(request, "q")
    by, scorer = _way(request, gallery), _scorer(request, gallery)
    embedder = _embedder(request, gallery) if like or (query and by == WAYS[0]) else None
    is_one = found.height == 1 and asking.text(request, "by") == "uid"
    if is_one:
        partition, uid = found.select(list(FOUND)).row(0)
        return RedirectResponse(f"/pair/{partition}/{uid.hex()}", 303)
    return rendered(
        request,
        "search.html.jinja",
        title="Search",
        query=query,
        like=like,
        uploaded=False,
        by=by,
        ways=WAYS if gallery.embedders else WAYS[1:],
        scorer=scorer,
        scorers=gallery.scorers,
        embedders=gallery.embedders,
        embedder=embedder,
        searched=gallery.embeddings.searched(embedder) if embedder else None,
        cards=cards(gallery, found, scorer, note),
        another=with_query(request.url, draw=asking.count(request, "draw", 0, 10**9) + 1),
        uids_at=f"/uids.txt?{request.url.query}",
    )


def uids(request: Request) -> Response:
    """The uids that a search finds, 32 hex digits a line, as `recap` reads them."""
    found, _ = _found(request, gallery_of(request), MOST_UIDS)
    lines = "".join(f"{uid.hex()}\n" for uid in found["uid"].unique(maintain_order=True))
    headers = {"Content-Disposition": 'attachment; filename="uids.txt"'}
    return Response(lines, media_type="text/plain; charset=utf-8", headers=headers)


def _found(request: Request, gallery: Gallery, n: int) -> tuple[pl.DataFrame, str]:
    """FOUND, and the format of each image's note."""
    query, like = asking.text(request, "q"), asking.text(request, "like")
    way = _way(request, gallery)
    if like:
        return _alike(gallery, _embedder(request, gallery), asking.uid(like), n)
    if not query:
        return drawn_images(gallery, asking.count(request, "draw", 0, 10**9), n), ""
    if way == "uid":
        return _by_uid(gallery, query, n), ""
    if way == "words":
        return _by_words(gallery, query, n), "{source}"
    scorer = _embedder(request, gallery)
    return nearest(gallery, scorer, text_vector(gallery, scorer, query), n), "{similarity:.3f}"


def _way(request: Request, gallery: Gallery) -> str:
    return asking.chosen(request, "by", WAYS, WAYS[0] if gallery.embedders else WAYS[1])


def _scorer(request: Request, gallery: Gallery) -> str:
    first = next(iter([*gallery.embedders, *gallery.scorers]))
    return asking.chosen(request, "scorer", gallery.scorers, first)


def _embedder(request: Request, gallery: Gallery) -> str:
    first = gallery.embedders[0] if gallery.embedders else ""
    scorer = asking.text(request, "scorer")
    if scorer in gallery.scorers and scorer not in gallery.embedders:
        return asking.chosen(request, "like scorer", gallery.embedders, first)
    return asking.chosen(request, "scorer", gallery.embedders, first)


def _alike(gallery: Gallery, scorer: str, uid: bytes, n: int) -> tuple[pl.DataFrame, str]:
    vector = image_vector(gallery, scorer, uid)
    if vector is None:
        msg = f"{uid.hex()} has no embedding by {scorer}: it was set aside, or is not built yet"
        raise asking.AskedError(msg)
    return nearest(gallery, scorer, vector, n), "{similarity:.3f}"


def _by_uid(gallery: Gallery, digits: str, n: int) -> pl.DataFrame:
    first, last = uid_range(digits)
    uids = pl.col("uid")
    rows = gallery.project.workspace.tables.scan(RAW_POOL).filter(
        (uids >= pl.lit(first)) & (uids <= pl.lit(last))
    )
    return rows.select(list(FOUND)).unique().sort("uid", "partition").head(n).collect()


def _by_words(gallery: Gallery, words: str, n: int) -> pl.DataFrame:
    """Images with these words in a caption, in the order of the pool, with their `source`."""
    tables, sources = gallery.project.workspace.tables, list(gallery.project.experiment.sources)
    current = pl.col("partition").is_in(list(gallery.project.partitions))
    # Lower-cased on both sides; a pattern would be the user's own program.
    has = pl.col("text").str.to_lowercase().str.contains(words.lower(), literal=True)
    raw = tables.scan(RAW_POOL).with_columns(source=pl.lit("raw"))
    written = tables.scan(SYNTHETIC_CAPTIONS).filter(pl.col("source").is_in(sources))
    columns = (*FOUND, "source")
    found = [
        rows.filter(current & is_usable() & has).select(columns).head(n).collect()
        for rows in (raw, written)
    ]
    of_image = pl.concat(found).group_by(list(FOUND), maintain_order=True)
    named = of_image.agg(pl.format("in {}", pl.col("source").unique().sort().str.join(", ")))
    return named.head(n)


ROUTES = (Route("/", search), Route("/uids.txt", uids))
