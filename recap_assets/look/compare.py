"""Compare: which of two captions is better, asked and answered without their sources.

This is the one page that writes: a row of the table `judgements` for each answer.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from recap_assets.artefacts.judgements import (
    FIRST,
    JUDGEMENTS,
    NEITHER,
    SECOND,
    last_judgements,
    preferences,
)
from recap_assets.look import asking
from recap_assets.look.agreement import agreements, left_share, standings
from recap_assets.look.comparisons import Comparison, Judged, comparison_of, next_comparison
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.page import rendered

MOST_BYTES = 4_096
"""Of one answer."""

ANY = "any"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")
_CHOICES = {"1": "left", "2": "right", "0": NEITHER}


def compare(request: Request) -> Response:
    """The page: an image with two captions, and how the answers stand."""
    gallery = gallery_of(request)
    judge, sources = _judge(request.query_params), _sources(gallery, request.query_params)
    judged = last_judgements(gallery.project.workspace.tables)
    again = asking.text(request, "again")
    found = _next(gallery, judge, sources, judged, asking.uid(again) if again else None)
    names = gallery.project.experiment.source_names
    return rendered(
        request,
        "compare.html.jinja",
        title="Compare",
        judge=judge,
        of=asking.text(request, "of") or ANY,
        against=asking.text(request, "against") or ANY,
        names=(ANY, *names),
        has_two=len(sources) > 1,
        comparison=found,
        n_judged=judged.filter(judge=judge).height,
        last=asking.text(request, "last"),
        is_again=bool(again),
        standings=standings(judged),
        agreements=agreements(judged),
        left=left_share(judged.filter(judge=judge)),
    )


async def answer(request: Request) -> Response:
    """Write one answer down, and lead to the next comparison."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            msg = f"an answer has at most {MOST_BYTES:,} bytes"
            raise asking.AskedError(msg)
    given = {name: values[-1] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
    return await run_in_threadpool(_answered, gallery_of(request), given)


def _answered(gallery: Gallery, given: Mapping[str, str]) -> Response:
    judge, sources = _judge(given), _sources(gallery, given)
    uid = asking.uid(given.get("uid", ""))
    found = comparison_of(gallery, judge, sources, uid)
    choice = _CHOICES.get(given.get("choice", ""))
    if choice is None or found is None or found.key != given.get("key"):
        msg = "this comparison is another one now: its captions were written again. Go back to it"
        raise asking.AskedError(msg)
    gallery.project.workspace.tables.append(JUDGEMENTS, _row(judge, found, choice))
    kept = {name: given.get(name, ANY) for name in ("of", "against")}
    query = urlencode({"judge": judge, **kept, "last": uid.hex()})
    return RedirectResponse(f"/compare?{query}", 303)


def _row(judge: str, found: Comparison, choice: str) -> pl.DataFrame:
    is_first = (choice == "left") is not found.is_swapped
    row = {
        "judge": judge,
        "uid": found.uid,
        "first_source": found.first.source,
        "first_text": found.first.text,
        "second_source": found.second.source,
        "second_text": found.second.text,
        "chosen": NEITHER if choice == NEITHER else FIRST if is_first else SECOND,
        "was_swapped": found.is_swapped,
        "judged_at": datetime.now(UTC),
    }
    return pl.DataFrame([row], schema=JUDGEMENTS.schema)


def _next(
    gallery: Gallery,
    judge: str,
    sources: tuple[str, ...],
    judged: pl.DataFrame,
    again: bytes | None,
) -> Comparison | None:
    if not judge:
        return None
    if again is not None:
        return comparison_of(gallery, judge, sources, again)
    own = judged.filter(judge=judge).select("uid", "first_source", "second_source")
    done = [Judged(*row) for row in own.iter_rows()]
    return next_comparison(gallery, judge, sources, done)


def _judge(given: Mapping[str, str]) -> str:
    name = given.get("judge", "")[:41].strip()
    if name and not _NAME.match(name):
        msg = "your name: write up to 40 letters, digits, `_`, `.` or `-`, without spaces"
        raise asking.AskedError(msg)
    return name


def _sources(gallery: Gallery, given: Mapping[str, str]) -> tuple[str, ...]:
    """The sources that are compared, in the experiment's order."""
    names = gallery.project.experiment.source_names
    chosen = {given.get(name) or ANY for name in ("of", "against")}
    if unknown := chosen - {ANY, *names}:
        msg = f"there is no source {min(unknown)[:80]!r}; known are {', '.join(names)}"
        raise asking.AskedError(msg)
    return names if ANY in chosen else tuple(name for name in names if name in chosen)


def preferences_file(request: Request) -> Response:
    """All preferences as JSON lines, for a model of `kind: preference`."""
    rows = preferences(gallery_of(request).project.workspace.tables)
    lines = (
        json.dumps({"uid": uid.hex(), "better": better, "worse": worse}, ensure_ascii=False)
        for uid, better, worse, *_ in rows.iter_rows()
    )
    return _file("preferences.jsonl", "".join(f"{line}\n" for line in lines))


def preferred_uids(request: Request) -> Response:
    """Images of which a source's caption was preferred more often than another, by uid."""
    gallery = gallery_of(request)
    names = gallery.project.experiment.source_names
    source = asking.chosen(request, "source", names, names[-1])
    rows = preferences(gallery.project.workspace.tables)
    votes = (pl.col("better_source") == source).sum() - (pl.col("worse_source") == source).sum()
    uids = rows.group_by("uid").agg(votes=votes.cast(pl.Int64)).filter(pl.col("votes") > 0)["uid"]
    return _file(f"preferred_{source}.txt", "".join(f"{uid.hex()}\n" for uid in uids.sort()))


def _file(name: str, content: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/plain; charset=utf-8", headers=headers)


ROUTES = (
    Route("/compare", compare, methods=["GET"]),
    Route("/compare", answer, methods=["POST"]),
    Route("/compare/preferences.jsonl", preferences_file),
    Route("/compare/uids.txt", preferred_uids),
)
