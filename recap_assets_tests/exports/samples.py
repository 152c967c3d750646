"""Rows as the tables hold them, small and hostile."""

import hashlib
from typing import Any

import polars as pl

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.exports.rows import IMAGE_COLUMNS
from recap_assets.exports.samples import CAPTION
from recap_assets.specs.exports import parse_export

HOSTILE = "../../etc/cron.d/x\n<script>`${IFS}`\u202e"


def uid_of(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def sharded(to: str = "webdataset", **options: Any) -> Any:
    return parse_export({"mix": "m", "to": to, **options})


def pairs(*rows: dict[str, Any]) -> pl.DataFrame:
    """Pairs of images by number; what a row does not say has some value."""
    usual = {"shard": 0, "source": "raw", "candidate": 0, "score": 0.25, "weight": 1.0, "rule": 0}
    usual["copies"] = 1
    schema = {n: t for n, t in CURATED_MIXES.schema.items() if n not in ("mix", "partition")}
    filled = [
        {
            **usual,
            "text": f"text {row['image']}",
            "image_hash": 0,
            **row,
            "uid": uid_of(row["image"]),
        }
        for row in rows
    ]
    return pl.DataFrame([{n: row[n] for n in schema} for row in filled], schema=schema)


def images(numbers: range, **columns: list[Any]) -> pl.DataFrame:
    """Images of 100 x 80 pixels, one after the other in shard 0, under hostile keys."""
    schema = {name: RAW_POOL.schema[name] for name in IMAGE_COLUMNS}
    frame = pl.DataFrame(
        [
            {
                "uid": uid_of(i), "key": f"../{HOSTILE}{i}", "offset": 1000 * i, "size": 3,
                "sha256": hashlib.sha256(content_of(i)).digest(), "image_format": "JPEG",
                "width": 100, "height": 80, "original_width": 200, "original_height": 160,
                "url": f"https://x/{HOSTILE}",
            }
            for i in numbers
        ],
        schema=schema,
    )  # fmt: skip
    return frame.with_columns(
        pl.Series(name, values, schema[name]) for name, values in columns.items()
    )


def content_of(number: int) -> bytes:
    return b"img%d" % number


def captions(*rows: tuple[int, str, int, str, float | None]) -> pl.DataFrame:
    """Image, source, candidate, text, score."""
    schema = {"uid": pl.Binary, **CAPTION.to_schema()}
    return pl.DataFrame([(uid_of(i), *rest) for i, *rest in rows], schema=schema, orient="row")
