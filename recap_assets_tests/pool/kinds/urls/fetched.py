"""Fetching a few URLs, for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from recap_assets.pool.kinds.urls import UrlPool
from recap_assets.pool.kinds.urls.fetching import fetch
from recap_assets.pool.kinds.urls.lists import ROWS
from recap_assets_tests.shards.building import uid_of

QUICK: Mapping[str, object] = {
    "kind": "urls", "urls": "unused", "processes": 1, "threads": 8, "retries": 0, "timeout": 60,
    "deadline": 120, "image_size": 256, "allow_private_addresses": True,
}  # fmt: skip
HASTY: Mapping[str, object] = {"timeout": 2, "deadline": 3}
"""For what never answers; where the machine is busy, what does may be late for it, too."""


def quick(**changes: object) -> UrlPool:
    return UrlPool.model_validate({**QUICK, **changes})


def asked(urls: Sequence[str], **columns: Sequence[object]) -> pl.DataFrame:
    """Rows of a list, with uids of their number."""
    uids = [bytes.fromhex(uid_of(i)) for i in range(len(urls))]
    frame = pl.DataFrame({"uid": uids, "url": urls, **columns}, strict=False)
    missing = {name: pl.lit(None, dtype) for name, dtype in ROWS.items() if name not in frame}
    return frame.with_columns(**missing).cast(ROWS)


def outcomes_of(
    urls: Sequence[str], pool: UrlPool, work: Path, **columns: Sequence[object]
) -> pl.DataFrame:
    """What became of each URL, in the order given."""
    rows = asked(urls, **columns)
    found = fetch(rows, pool, work, lambda _: None).outcomes
    return rows.select("uid", "url").join(found, on="uid", how="left", maintain_order="left")
