"""Third-party captions of the images of one pool partition, and how well they fit it."""

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.table import STATUS_EMPTY, STATUS_ERROR, STATUS_OK
from recap_assets.captions.kinds.imported.buckets import Count, Counts, examples_of
from recap_assets.captions.kinds.imported.spec import ImportSpec
from recap_assets.shards.text_repair import texts_differ
from recap_assets.specs.sources import MOST_CANDIDATES
from recap_assets.storage.sorting import sort_rows

NOT_IN_IMPORT = "not_in_import"
TEXT_MISMATCH = "text_mismatch"
CONFLICTING = "conflicting_captions"

CAPTION_COLUMNS = tuple(SYNTHETIC_CAPTIONS.unsliced)

_UID = pl.col("uid").bin.encode("hex")
_GROUP = ("uid", "text")
_FIRST = ("shard", "number", "expected_text", "raw_text")


def join_captions(
    images: pl.DataFrame, found: pl.DataFrame, source: ImportSpec
) -> tuple[pl.DataFrame, Counts]:
    """A row for every image: its caption, or the reason why it has none.

    An image without a caption gets a row as an image that a captioner failed on does, so that
    accounts, report and `recap lineage --uid` say what became of it.

    Args:
        images: `shard`, `uid`, `text` (the raw one) of every usable image.
        found: `uid`, `number`, `text`, `expected_text`, `n`: the rows of the files for them.
        source: The rules.

    Returns:
        The columns of SYNTHETIC_CAPTIONS without its slices, by uid and candidate; and the counts
        `images`, `matched`, `missing`, `empty`, `repeated_rows`, `conflicting`, `texts_compared`,
        `text_mismatches`.
    """
    matched = found.join(images.rename({"text": "raw_text"}), on="uid", how="inner")
    matched = matched.with_columns(
        differ=texts_differ(matched["expected_text"], matched["raw_text"])
    )
    texts = _texts(matched, source)
    without_text = matched.filter(pl.col("text").is_null()).select("shard", "uid").unique()
    missing = images.join(matched, on="uid", how="anti")
    rows = pl.concat(
        [
            _chosen(texts, source),
            _lost(without_text.join(texts, on="uid", how="anti"), STATUS_EMPTY, STATUS_EMPTY),
            _lost(missing.select("shard", "uid"), STATUS_ERROR, NOT_IN_IMPORT),
        ],
        how="diagonal",
    )
    ordered = sort_rows(_conformed(rows), ["uid", "candidate"])
    return ordered, _counts(images, matched, texts, missing)


def _texts(matched: pl.DataFrame, source: ImportSpec) -> pl.DataFrame:
    """A row for each different caption of an image, numbered; those set aside come last."""
    rows = matched.drop_nulls("text")
    # Most images have one caption, which is numbered without grouping.
    is_single = rows["uid"].is_unique()
    aside = pl.col("is_mismatch") & (source.on_text_mismatch == "set_aside")
    several = _different(rows.filter(~is_single)).with_columns(is_aside=aside)
    single = _single(rows.filter(is_single)).with_columns(is_aside=aside)
    return pl.concat(
        [
            single.with_columns(candidate=0, n_good=~pl.col("is_aside"), n_texts=1),
            several.sort("uid", "is_aside", "number").with_columns(
                candidate=pl.int_range(pl.len()).over("uid"),
                n_good=(~pl.col("is_aside")).sum().over("uid"),
                n_texts=pl.len().over("uid"),
            ),
        ],
        how="vertical_relaxed",
    )


def _single(rows: pl.DataFrame) -> pl.DataFrame:
    """What `_different` gives for the only rows of their images."""
    return rows.select(
        *_GROUP,
        *_FIRST,
        is_mismatch=pl.col("differ").fill_null(value=False),
        is_compared=pl.col("differ").is_not_null(),
    )


def _different(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each different caption of an image, in the order of their first rows."""
    return (
        rows.sort("uid", "number")
        .group_by(_GROUP, maintain_order=True)
        .agg(
            pl.col(_FIRST).first(),
            is_mismatch=pl.col("differ").fill_null(value=False).all(),
            is_compared=pl.col("differ").is_not_null().any(),
        )
    )


def _chosen(texts: pl.DataFrame, source: ImportSpec) -> pl.DataFrame:
    most = MOST_CANDIDATES if source.conflicts == "candidates" else 1
    conflicts = (pl.col("n_good") > 1) & (source.conflicts == "reject")
    reason = (
        pl.when(conflicts)
        .then(pl.lit(CONFLICTING))
        .when("is_aside")
        .then(pl.lit(TEXT_MISMATCH))
        .otherwise(None)
    )
    return texts.filter(pl.col("candidate") < most).select(
        "shard",
        "uid",
        "candidate",
        text=pl.when(~conflicts).then("text"),
        status=pl.when(reason.is_null()).then(pl.lit(STATUS_OK)).otherwise(pl.lit(STATUS_ERROR)),
        reject_reason=reason,
    )


def _lost(images: pl.DataFrame, status: str, reason: str) -> pl.DataFrame:
    return images.with_columns(
        candidate=pl.lit(0, pl.Int64),
        text=pl.lit(None, pl.String),
        status=pl.lit(status),
        reject_reason=pl.lit(reason),
    )


def _conformed(rows: pl.DataFrame) -> pl.DataFrame:
    # Nobody counted tokens or gave probabilities.
    schema = {name: SYNTHETIC_CAPTIONS.schema[name] for name in CAPTION_COLUMNS}
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def _counts(
    images: pl.DataFrame, matched: pl.DataFrame, texts: pl.DataFrame, missing: pl.DataFrame
) -> Counts:
    several = texts.filter(pl.col("n_texts") > 1)
    conflicts = several.group_by("uid", maintain_order=True).agg(
        pl.col("text").head(3), pl.col("raw_text").first()
    )
    shown = conflicts.with_columns(pl.col("text").list.join(" | "))
    mismatches = texts.filter("is_mismatch").sort("uid", "is_aside", "number")
    columns = {"caption": "text", "raw_text": "raw_text"}
    n_matched = images.height - missing.height
    repeated = matched.select(pl.col("n").sum() - pl.len()).item() if matched.height else 0
    return {
        "images": Count(images.height),
        "matched": Count(n_matched),
        "missing": Count(
            missing.height, examples_of(sort_rows(missing, ["uid"]), key=_UID, raw_text="text")
        ),
        "empty": Count(n_matched - int((texts["candidate"] == 0).sum())),
        "repeated_rows": Count(int(repeated)),
        "conflicting": Count(conflicts.height, examples_of(shown, key=_UID, **columns)),
        "texts_compared": Count(int(texts["is_compared"].sum())),
        "text_mismatches": Count(
            mismatches.height,
            examples_of(mismatches, key=_UID, expected_text="expected_text", **columns),
        ),
    }
