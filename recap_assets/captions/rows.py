"""Rows of the captions' table."""

from collections.abc import Iterator, Sequence

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.table import USABLE
from recap_assets.engines.protocols import Caption

_Row = tuple[str | bytes | int | float | None, ...]


def caption_rows(
    images: pl.DataFrame, captions: Sequence[Sequence[Caption]], seconds: float | None
) -> pl.DataFrame:
    """A row for each caption, rejected ones included, by the schema of a slice of the table.

    Args:
        images: `shard` and `uid`, a row an image.
        captions: Of each image its candidates, in order.
        seconds: A caption's share of the time, where it does not say what it took.
    """
    found: list[_Row] = []
    for (shard, uid), of_image in zip(
        images.select("shard", "uid").iter_rows(), captions, strict=True
    ):
        found.extend(_rows_of(shard, uid, of_image, seconds))
    return pl.DataFrame(found, schema=SYNTHETIC_CAPTIONS.unsliced, orient="row")


def _rows_of(
    shard: int, uid: bytes, captions: Sequence[Caption], seconds: float | None
) -> Iterator[_Row]:
    for candidate, caption in enumerate(captions):
        is_lost = caption.status not in USABLE
        yield (
            shard,
            uid,
            candidate,
            caption.text or None,
            caption.log_probability,
            caption.n_tokens,
            caption.n_prompt_tokens,
            caption.status,
            # What is set aside has a reason, if only its status.
            caption.reason or caption.status if is_lost else None,
            seconds if caption.seconds is None else caption.seconds,
        )
