"""What was set aside, by reason: samples with what is wrong with their bytes, and captions."""

from typing import Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.look import asking
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.images import PoolImage
from recap_assets.look.page import PER_PAGE, pager, rendered
from recap_assets.report.assets import rejects
from recap_assets.shards.image_headers import ImageRejected
from recap_assets.shards.images import decode

FIRST_BYTES = 16
_OF_IMAGE = ("shard", "key", "offset", "size", "sha256", "image_format")


def set_aside(request: Request) -> Response:
    """The page."""
    gallery = gallery_of(request)
    counts = rejects(gallery.project).sort("n", "stage", "reason", descending=[True, False, False])
    known = dict.fromkeys(f"{stage} {reason}" for stage, reason, _ in counts.iter_rows())
    first = next(iter(known), "")
    what = asking.chosen(request, "what", known, first) if known else ""
    page = asking.count(request, "page", 0, asking.MOST_PAGES)
    n = sum(n for at, why, n in counts.iter_rows() if f"{at} {why}" == what)
    stage, _, reason = what.partition(" ")
    return rendered(
        request,
        "set_aside.html.jinja",
        title="Set aside",
        counts=counts.rows(),
        what=what,
        stage=stage,
        reason=reason,
        samples=_samples(gallery, reason, page) if stage == RAW_POOL.key() else (),
        captions=_captions(gallery, stage, reason, page) if stage != RAW_POOL.key() else (),
        pager=pager(request, page, n),
    )


def _samples(gallery: Gallery, reason: str, page: int) -> list[dict[str, Any]]:
    """Samples of the pool, each with what its bytes are and what reading them says now."""
    rows = gallery.project.workspace.tables.scan(RAW_POOL).filter(_of(gallery, reason))
    shown = rows.sort("partition", "shard", "uid", "key").slice(page * PER_PAGE, PER_PAGE).collect()
    names = {number: shard.name for number, shard in gallery.project.shards.items()}
    return [
        {
            **shown.row(i, named=True),
            "shard_name": names.get(shown["shard"][i]),
            **_bytes(gallery, shown[i]),
        }
        for i in range(shown.height)
    ]


def _bytes(gallery: Gallery, row: pl.DataFrame) -> dict[str, str]:
    """The first bytes of an image, and what is wrong with it."""
    image = PoolImage(row.select(_OF_IMAGE), "")
    limit = gallery.project.pool.limits.max_bytes
    if (size := image.values["size"]) is not None and size > limit:
        return {"begins": "", "error": f"{size:,} bytes, at most {limit:,} are read"}
    data = gallery.images.encoded(image)
    if data is None:
        error = "no bytes are there" if not size else "the bytes are gone, or have changed"
        return {"begins": "", "error": error}
    try:
        decode(data, gallery.project.pool.limits, 64)
    except ImageRejected as rejected:
        return {"begins": data[:FIRST_BYTES].hex(" "), "error": str(rejected)}
    return {"begins": data[:FIRST_BYTES].hex(" "), "error": "the image can be decoded"}


def _captions(gallery: Gallery, stage: str, reason: str, page: int) -> list[dict[str, Any]]:
    source = stage.removeprefix(f"{SYNTHETIC_CAPTIONS.name}/")
    rows = gallery.project.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=source)
    found = rows.filter(_of(gallery, reason)).sort("partition", "shard", "uid", "candidate")
    return found.slice(page * PER_PAGE, PER_PAGE).collect().to_dicts()


def _of(gallery: Gallery, reason: str) -> pl.Expr:
    current = pl.col("partition").is_in(list(gallery.project.partitions))
    return current & ~is_usable() & (pl.col("reject_reason") == reason)


ROUTES = (Route("/set-aside", set_aside),)
