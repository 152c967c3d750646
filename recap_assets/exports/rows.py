"""What an export writes, as a frame with a row for each sample, and what it leaves out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.specs.exports import (
    EXTENSIONS,
    HuggingFaceExport,
    ShardedExport,
    TextToImageExport,
    WebDatasetExport,
)

CAPTION = pl.Struct(
    {"source": pl.String, "candidate": pl.Int16, "text": pl.String, "score": pl.Float32}
)
PAIR = pl.Struct({**CAPTION.to_schema(), "weight": pl.Float32, "rule": pl.Int16})
IMAGE_COLUMNS = (
    "uid", "key", "offset", "size", "sha256", "image_format", "width", "height", "original_width",
    "original_height", "url",
)  # fmt: skip
LEFT_OUT_REASONS: Mapping[str, str] = {
    "unread_format": "the image's format is none of `formats`",
    "too_small": "a side is shorter than min_side",
    "too_elongated": "the sides' ratio is above max_aspect",
    "low_score": "the score is below min_score, or there is none",
    "image_changed": "the pool has other bytes there than when it was indexed",
}
"""Why a pair of the mix is not in an export."""


@dataclass(frozen=True)
class ExportRows:
    """The samples of one pool partition.

    Attributes:
        samples: `uid`, `k` (the sample's number among those of its image), `text`, `source`,
            `candidate`, `score`, `weight`, `rule`, the image's columns of raw_pool with `shard`,
            `captions` (a list of CAPTION), and `pairs` (a list of PAIR) where one sample may stand
            for several; in the order in which they are written.
        n_pairs: Pairs of the mix.
        left_out: Pairs that are not written, by reason.
    """

    samples: pl.DataFrame
    n_pairs: int
    left_out: Mapping[str, int]

    def by_weight(self) -> Iterator[tuple[float, pl.DataFrame]]:
        """The samples of each weight, ascending; together they are all samples."""
        for (weight,), rows in sorted(
            self.samples.partition_by("weight", maintain_order=True, as_dict=True).items()
        ):
            yield float(f"{weight:g}"), rows


def export_rows(
    pairs: pl.DataFrame, images: pl.DataFrame, captions: pl.DataFrame, export: ShardedExport
) -> ExportRows:
    """The samples that an export writes of one pool partition.

    Args:
        pairs: The partition's slice of `curated_mixes`.
        images: The usable rows of its slice of `raw_pool`: IMAGE_COLUMNS.
        captions: `uid` and the fields of CAPTION, of every source that goes along, in the order in
            which they are listed.
        export: What is asked for.
    """
    numbered = pairs.sort("uid", "rule", "source", "candidate").with_columns(
        k=pl.int_range(pl.len(), dtype=pl.Int32).over("uid")
    )
    located = numbered.select(
        "shard", "uid", "k", "text", "source", "candidate", "score", "weight", "rule"
    ).join(images.select(IMAGE_COLUMNS), on="uid", how="inner", maintain_order="left")
    judged = located.with_columns(reason=_reason(export))
    counts = judged.drop_nulls("reason").group_by("reason").len().sort("reason")
    kept = judged.filter(pl.col("reason").is_null()).drop("reason")
    if isinstance(export, WebDatasetExport) and export.positives == "json":
        kept = _one_an_image(kept)
    nested = captions.group_by("uid", maintain_order=True).agg(
        captions=pl.struct(*CAPTION.to_schema())
    )
    samples = kept.join(nested, on="uid", how="left")
    return ExportRows(_ordered(samples, export), pairs.height, dict(counts.iter_rows()))


def cuts(n: int, most: int) -> Sequence[tuple[int, int]]:
    """Parts of at most `most` of `n` samples, as equal as can be: (start, end) of each.

    Trainers draw shards equally often, so a short last shard would be seen more often than others.
    """
    parts = -(-n // most)
    edges = [n * i // parts for i in range(parts + 1)] if parts else [0]
    return list(pairwise(edges))


def _reason(export: ShardedExport) -> pl.Expr:
    readable = [name for name, ending in EXTENSIONS.items() if ending in export.formats]
    is_read = pl.col("image_format").is_in(readable)
    if isinstance(export, HuggingFaceExport) and not export.images:
        is_read = pl.lit(value=True)
    reason = pl.when(~is_read).then(pl.lit("unread_format"))
    if isinstance(export, TextToImageExport):
        shorter, longer = (f("width", "height") for f in (pl.min_horizontal, pl.max_horizontal))
        reason = reason.when(shorter < export.min_side).then(pl.lit("too_small"))
        if export.max_aspect is not None:
            reason = reason.when(longer > export.max_aspect * shorter).then(pl.lit("too_elongated"))
        if export.min_score is not None:
            enough = pl.col("score") >= export.min_score
            reason = reason.when(~enough.fill_null(value=False)).then(pl.lit("low_score"))
    return reason.otherwise(pl.lit(None, pl.String))


def _one_an_image(rows: pl.DataFrame) -> pl.DataFrame:
    """One sample an image: its text is that of the heaviest pair, of equal ones the first."""
    first = pl.col("weight").arg_max()
    others = [c for c in rows.columns if c not in ("uid", "k", "weight", *_OF_PAIR)]
    return (
        rows.group_by("uid", maintain_order=True)
        .agg(
            pl.lit(0, pl.Int32).first().alias("k"),
            *(pl.col(name).get(first) for name in _OF_PAIR),
            pl.struct(*PAIR.to_schema()).alias("pairs"),
            pl.col("weight").sum(),
            *(pl.col(name).first() for name in others),
        )
        .select(*rows.columns, "pairs")
    )


_OF_PAIR = ("text", "source", "candidate", "score", "rule")


def _ordered(samples: pl.DataFrame, export: ShardedExport) -> pl.DataFrame:
    if isinstance(export, WebDatasetExport) and export.shuffle is not None:
        drawn = uid_hashes(export.shuffle, "export", samples["uid"])
        # The k-th sample of an image gets a place of its own, apart from the others.
        drawn ^= np.uint64(0x9E3779B97F4A7C15) * samples["k"].to_numpy().astype(np.uint64)
        place = pl.Series("place", drawn)
        return samples.with_columns(place).sort("place", "uid", "k").drop("place")
    return samples.sort("shard", "offset", "key", "uid", "k")
