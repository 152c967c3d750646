"""Caption sources side by side, where they disagree most first, or by how much one gains."""

import numpy as np
import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.look import asking
from recap_assets.look.cards import FOUND, cards
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.groups import partition_groups
from recap_assets.look.page import PER_PAGE, pager, rendered, with_query

ORDERS = {"disagreement": "by disagreement", "gain": "by gain in score", "random": "at random"}
"""How images are sorted, and what that is called."""


def sources(request: Request) -> Response:
    """The page."""
    gallery = gallery_of(request)
    names = gallery.project.experiment.source_names
    scorer = asking.chosen(request, "scorer", gallery.scorers, gallery.scorers[0])
    order = asking.chosen(request, "order", ORDERS, "disagreement")
    of = asking.chosen(request, "of", names, names[-1])
    against = asking.chosen(request, "against", names, names[0])
    scores = scores_by_source(gallery, scorer)
    by, note = _measure(scores, order, of, against)
    places = _sorted(by, descending=order != "random")
    page = asking.count(request, "page", 0, asking.MOST_PAGES)
    at = places[page * PER_PAGE : (page + 1) * PER_PAGE]
    shown = scores[at].select(*FOUND, by=by.gather(at), of=pl.lit(of), against=pl.lit(against))
    return rendered(
        request,
        "sources.html.jinja",
        title="Sources",
        names=names,
        scorer=scorer,
        scorers=gallery.scorers,
        order=order,
        orders=ORDERS,
        of=of,
        against=against,
        cards=cards(gallery, shown, scorer, note),
        n_found=len(places),
        pager=pager(request, page, len(places)),
        last=with_query(request.url, page=max(0, (len(places) - 1) // PER_PAGE)),
    )


def _measure(scores: pl.DataFrame, order: str, of: str, against: str) -> tuple[pl.Series, str]:
    """What images are sorted by, null for those that are left out, and the format of their note."""
    if order == "random":
        return pl.Series(uid_hashes(0, "look sources", scores["uid"]), dtype=pl.UInt64), ""
    if order == "gain":
        gain = (pl.col(of) - pl.col(against)).alias("by")
        return scores.select(gain)["by"], "{of} {by:+.3f} against {against}"
    columns = scores.columns[2:]
    apart = pl.max_horizontal(columns) - pl.min_horizontal(columns)
    return scores.select(by=apart)["by"], "{by:.3f} apart"


def _sorted(by: pl.Series, *, descending: bool) -> pl.Series:
    """Places of the images in that order; equal ones stay as they are."""
    known = by.is_not_null().arg_true()
    values = by.gather(known).to_numpy()
    ranks = -values if descending else values
    return known.gather(pl.Series(np.argsort(ranks, kind="stable")))


def scores_by_source(gallery: Gallery, scorer: str) -> pl.DataFrame:
    """FOUND, and a column for each source with the score of its best candidate."""
    return gallery.kept.of(
        CLIP_SCORES, ("by source", scorer), lambda: _scores_by_source(gallery, scorer)
    )


def _scores_by_source(gallery: Gallery, scorer: str) -> pl.DataFrame:
    names = gallery.project.experiment.source_names
    rows = gallery.project.workspace.tables.scan(CLIP_SCORES, scorer=scorer)
    best = [
        pl.col("score").filter(pl.col("source") == source).max().alias(source) for source in names
    ]
    parts = [
        rows.filter(pl.col("partition").is_in(list(keys)))
        .group_by(list(FOUND))
        .agg(best)
        .sort("uid", "partition")
        .collect()
        for keys in partition_groups(gallery.project)
    ]
    schema = {**FOUND, **dict.fromkeys(names, pl.Float32)}
    return pl.concat([pl.DataFrame(schema=schema), *parts])


ROUTES = (Route("/sources", sources),)
