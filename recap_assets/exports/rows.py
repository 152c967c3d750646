"""What an export writes, as a frame with a row for each sample, and what it leaves out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.repeats import repeated
from recap_assets.exports.samples import CAPTION

IMAGE_COLUMNS = (
    "uid", "key", "offset", "size", "sha256", "image_format", "width", "height", "original_width",
    "original_height", "url",
)  # fmt: skip


@dataclass(frozen=True)
class ExportRows:
    """The samples of one pool partition.

    Attributes:
        samples: `uid`, `k` (the sample's number among those of its image), `text`, `source`,
            `candidate`, `score`, `weight`, `rule`, the image's columns of raw_pool with `shard`,
            `captions` (a list of CAPTION), and `pairs` (a list of PAIR) where one sample may stand
            for several; in the order in which they are written. Where the mix has copies, each is a
            sample of its own with COPY, its number among those of its pair, or the pair is one with
            `copies`.
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
    pairs: pl.DataFrame,
    images: pl.DataFrame,
    captions: pl.DataFrame,
    export: ShardedExport,
    *,
    has_copies: bool = False,
) -> ExportRows:
    """The samples that an export writes of one pool partition.

    Args:
        pairs: The partition's slice of `curated_mixes`.
        images: The usable rows of its slice of `raw_pool`: IMAGE_COLUMNS.
        captions: `uid` and the fields of CAPTION, of every source that goes along, in the order in
            which they are listed.
        export: What is asked for.
        has_copies: Whether the mix has a pair several times; otherwise `copies` is not looked at.
    """
    numbered = pairs.sort("uid", "rule", "source", "candidate").with_columns(
        k=pl.int_range(pl.len(), dtype=pl.Int32).over("uid")
    )
    located = numbered.select(
        "shard",
        "uid",
        "k",
        "text",
        "source",
        "candidate",
        "score",
        "weight",
        "rule",
        *(["copies"] if has_copies else []),
    ).join(images.select(IMAGE_COLUMNS), on="uid", how="inner", maintain_order="left")
    judged = located.with_columns(reason=_reason(export))
    counts = judged.drop_nulls("reason").group_by("reason").len().sort("reason")
    kept = judged.filter(pl.col("reason").is_null()).drop("reason")
    kept = export.gathered(kept)
    if has_copies and export.repeats:
        number = pl.int_range(pl.len(), dtype=pl.Int32).over("uid")
        kept = repeated(kept).drop("copies").with_columns(k=number)
    nested = captions.group_by("uid", maintain_order=True).agg(
        captions=pl.struct(*CAPTION.to_schema())
    )
    samples = kept.join(nested, on="uid", how="left")
    return ExportRows(export.ordered(samples), pairs.height, dict(counts.iter_rows()))


def cuts(n: int, most: int) -> Sequence[tuple[int, int]]:
    """Parts of at most `most` of `n` samples, as equal as can be: (start, end) of each.

    Trainers draw shards equally often, so a short last shard would be seen more often than others.
    """
    parts = -(-n // most)
    edges = [n * i // parts for i in range(parts + 1)] if parts else [0]
    return list(pairwise(edges))


def _reason(export: ShardedExport) -> pl.Expr:
    words = [pl.when(one.holds).then(pl.lit(one.reason)) for one in export.refuses()]
    return pl.coalesce(*words, pl.lit(None, pl.String))
