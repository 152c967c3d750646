"""Captions: written here, or read from files."""

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import (
    CANDIDATE,
    INPUT_HASH,
    PARTITION,
    REASON,
    SHARD,
    SOURCE,
    UID,
    Column,
    Table,
    Tables,
    is_usable,
)
from recap_assets.specs.sources import RAW

SYNTHETIC_CAPTIONS = Table(
    "synthetic_captions",
    "A row for every caption that a captioner wrote, the unusable ones included.",
    {
        "source": SOURCE,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "candidate": CANDIDATE,
        "text": Column(pl.String, "The caption; null where the captioner failed.", nullable=True),
        "log_probability": Column(pl.Float32, "Sum over the tokens, natural log.", nullable=True),
        "n_tokens": Column(pl.Int16, "Tokens written, without the end mark.", nullable=True),
        "n_prompt_tokens": Column(
            pl.Int32, "Tokens of the request, as a server counted them.", nullable=True
        ),
        "status": Column(
            pl.String,
            "`ok`; `truncated` (max_tokens ended it; used like ok); `empty`, `refused`, "
            "`degenerate` (a loop, no words) or `error`, which are set aside.",
        ),
        "reject_reason": REASON,
        "seconds": Column(
            pl.Float32,
            "Its share of the batch's time, or its request's.",
            nullable=True,
            is_content=False,
        ),
        "input_hash": INPUT_HASH,
    },
    slices=("source", "partition"),
    order=("shard", "uid", "candidate"),
)

ONLY_CUTOFFS = Table(
    "only_cutoffs",
    "Cut-offs by which it is decided which images a source with `only` captions.",
    {
        "only_of": Column(pl.String, "Caption source."),
        "mix": Column(pl.String, "Whose cut-off; empty for the condition in `only` itself."),
        "path": Column(pl.String, "Where in the mix it stands; of `only`, in rules.0.where."),
        "kind": Column(pl.String, "absolute, quantile or size."),
        "requested": Column(pl.Float64, "The number in the spec: a score, a fraction or a size."),
        "scorer": Column(pl.String, "The scorer that is meant where `column` names none."),
        "column": Column(pl.String, "The score column that was ranked."),
        "value": Column(pl.Float32, "The cut-off: score >= value."),
    },
    slices=("only_of",),
    order=("mix", "path"),
)

CAPTIONS_LEFT_OUT = Table(
    "captions_left_out",
    "Usable images that a source with `only` does not caption.",
    {
        "source": SOURCE,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "needed_by": Column(
            pl.List(pl.String),
            "Mixes that might take a caption of it all the same: those are not built. None where "
            "`only` is `used`.",
        ),
    },
    slices=("source", "partition"),
    order=("shard", "uid"),
)

IMPORTED_CAPTIONS = Table(
    "imported_captions",
    "Third-party captions as their files have them, a row for each different one of a key, whether "
    "or not the pool has the key.",
    {
        "source": SOURCE,
        "bucket": Column(pl.String, "First hex digits of the key; `all` where there are few rows."),
        "key": Column(
            pl.Binary, "uid (16 bytes), sha256 (32 bytes), or blake2b of the url (16 bytes)."
        ),
        "number": Column(pl.Int32, "Place among the rows of the key in the files' order, from 0."),
        "text": Column(pl.String, "The caption; null where it is empty.", nullable=True),
        "expected_text": Column(
            pl.String, "The file's own copy of the raw text, where it has one.", nullable=True
        ),
        "n": Column(pl.Int32, "How often the files have this very row."),
    },
    slices=("source", "bucket"),
    order=("key", "number"),
)

OF_FILES = "files"
OF_POOL = "pool"
"""Partitions of an import's report beside the pool's own."""

IMPORT_REPORTS = Table(
    "import_reports",
    "How third-party captions and the pool fit together.",
    {
        "source": SOURCE,
        "partition": Column(
            pl.String,
            "Pool partition; `files`: what the files alone say; `pool`: the whole pool.",
        ),
        "what": Column(pl.String, "What was counted; `recap imports` spells each out."),
        "n": Column(pl.Int64, "How many."),
        "examples": Column(
            pl.List(
                pl.Struct(
                    {
                        "key": pl.String,
                        "caption": pl.String,
                        "expected_text": pl.String,
                        "raw_text": pl.String,
                    }
                )
            ),
            "Some of them: key in hex or as the file has it, caption, and both copies of the text "
            "where these are compared.",
        ),
    },
    slices=("source", "partition"),
    order=("what",),
)


def texts_key(source: str) -> str:
    """Key of the asset that holds a source's texts: the pool's own, or a captioner's."""
    return RAW_POOL.key() if source == RAW else SYNTHETIC_CAPTIONS.key(source)


def texts_of(tables: Tables, source: str, partition: str, uid: bytes | None = None) -> pl.DataFrame:
    """The usable texts of a source: shard, uid, candidate, text; null text where there is none.

    With `uid`, those of one image.
    """
    if source == RAW:
        rows = tables.scan(RAW_POOL, partition=partition).with_columns(
            candidate=pl.lit(0, pl.Int16)
        )
    else:
        rows = tables.scan(SYNTHETIC_CAPTIONS, source=source, partition=partition)
    usable = rows.filter(is_usable())
    if uid is not None:
        usable = usable.filter(pl.col("uid") == pl.lit(uid))
    return usable.select("shard", "uid", "candidate", "text").collect()


def first_texts(
    tables: Tables, source: str, partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    """The text of each image's first usable candidate, where there is one: uid, text."""
    texts = texts_of(tables, source, partition, uid).drop_nulls("text")
    return first_candidates(texts).select("uid", "text")


def first_candidates(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each image the row of its lowest candidate, of rows that have `uid` and `candidate`."""
    return rows.sort("candidate").unique("uid", keep="first")
