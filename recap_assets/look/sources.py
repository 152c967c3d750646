"""Caption sources side by side, where they disagree most first, or by how much one gains."""

import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.look import asking
from recap_assets.look.cards import FOUND, cards
from recap_assets.look.gallery import Gallery, gallery_of
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
    found, note = _sorted(gallery, scorer, order, of, against)
    page = asking.count(request, "page", 0, asking.MOST_PAGES)
    shown = found[page * PER_PAGE : (page + 1) * PER_PAGE]
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
        n_found=found.height,
        pager=pager(request, page, found.height),
        last=with_query(request.url, page=max(0, (found.height - 1) // PER_PAGE)),
    )


def _sorted(
    gallery: Gallery, scorer: str, order: str, of: str, against: str
) -> tuple[pl.DataFrame, str]:
    """FOUND in that order, and the format of each image's note."""
    scores = scores_by_source(gallery, scorer)
    columns = scores.columns[2:]
    if order == "random":
        draws = pl.Series(uid_hashes(0, "look sources", scores["uid"]), dtype=pl.UInt64)
        return scores.with_columns(by=draws).sort("by", "uid"), ""
    if order == "gain":
        by = pl.col(of) - pl.col(against) if {of, against} <= set(columns) else pl.lit(0.0)
        note = "{of} {by:+.3f} against {against}"
        named = {"of": pl.lit(of), "against": pl.lit(against)}
    else:
        by, note = pl.max_horizontal(columns) - pl.min_horizontal(columns), "{by:.3f} apart"
        named = {}
    found = scores.select(*FOUND, by=by, **named).drop_nulls("by")
    return found.sort("by", "uid", descending=[True, False]), note


def scores_by_source(gallery: Gallery, scorer: str) -> pl.DataFrame:
    """FOUND, and a column for each source with the score of its best candidate."""
    return gallery.kept.of(
        CLIP_SCORES, ("by source", scorer), lambda: _scores_by_source(gallery, scorer)
    )


def _scores_by_source(gallery: Gallery, scorer: str) -> pl.DataFrame:
    names = gallery.project.experiment.source_names
    current = pl.col("partition").is_in(list(gallery.project.partitions))
    rows = gallery.project.workspace.tables.scan(CLIP_SCORES, scorer=scorer).filter(current)
    best = [
        pl.col("score").filter(pl.col("source") == source).max().alias(source) for source in names
    ]
    return rows.group_by(list(FOUND)).agg(best).sort("uid", "partition").collect()


ROUTES = (Route("/sources", sources),)
