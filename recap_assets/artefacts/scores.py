"""Image embeddings, and scores of captions and of images."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.table import (
    CANDIDATE,
    INPUT_HASH,
    PARTITION,
    SCORER,
    SHARD,
    SOURCE,
    UID,
    Column,
    Table,
)

BEYOND = 3.4e38
"""A score is nearer to 0 than this, which is about the greatest float32; NaN is not."""

IMAGE_EMBEDDINGS = Table(
    "image_embeddings",
    "Unit-length image embeddings, once for each scorer.",
    {
        "scorer": SCORER,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "embedding": Column(pl.Binary, "float16, little-endian, L2-normalised."),
        "input_hash": INPUT_HASH,
    },
    slices=("scorer", "partition"),
    order=("shard", "uid"),
)

CLIP_SCORES = Table(
    "clip_scores",
    "How well each caption fits its image.",
    {
        "scorer": SCORER,
        "source": SOURCE,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "candidate": CANDIDATE,
        "score": Column(
            pl.Float32,
            "Finite, on the scorer's own scale (of a CLIP the cosine); null where there is none.",
            nullable=True,
        ),
        "input_hash": INPUT_HASH,
    },
    slices=("scorer", "source", "partition"),
    order=("shard", "uid", "candidate"),
    constraints=(
        ("score_is_finite", f"score IS NULL OR (score > -{BEYOND} AND score < {BEYOND})"),
    ),
)

SCORE_SCALES = Table(
    "score_scales",
    "What a scorer that combines others scales their scores by: facts of the whole pool's scores.",
    {
        "scorer": SCORER,
        "source": SOURCE,
        "part": Column(pl.Int16, "Which of the combined scores, from 0."),
        "what": Column(
            pl.String,
            "`mean`, `deviation` (n), `low`, `high`: of the scores; `n`: how many are in a bin.",
        ),
        "bin": Column(pl.Int32, "That bin, as in `score_histograms`; 0 for all else."),
        "value": Column(pl.Float64, "The number."),
    },
    slices=("scorer", "source"),
    order=("part", "what", "bin"),
)

TARGET_EMBEDDINGS = Table(
    "target_embeddings",
    "The images that a scorer of images compares with.",
    {
        "scorer": Column(pl.String, "Scorer of images."),
        "number": Column(pl.Int32, "Number of the target image, from 0."),
        "embedding": Column(pl.Binary, "float16, little-endian, L2-normalised."),
    },
    slices=("scorer",),
    order=("number",),
)

IMAGE_SCORES = Table(
    "image_scores",
    "What a scorer of images makes of each image: aesthetics, unsafe content, watermarks.",
    {
        "scorer": Column(pl.String, "Scorer of images."),
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "score": Column(pl.Float32, "On the scorer's own scale."),
        "input_hash": INPUT_HASH,
    },
    slices=("scorer", "partition"),
    order=("shard", "uid"),
)

SCORE_HISTOGRAMS = Table(
    "score_histograms",
    "Counts of scores in bins of 1e-4; they add up over partitions.",
    {
        "scorer": SCORER,
        "source": SOURCE,
        "partition": PARTITION,
        "bin": Column(pl.Int32, "floor((score + 1) / 1e-4), within the type's bounds."),
        "n": Column(pl.Int64, "Scores in the bin (the best candidate of each image)."),
    },
    slices=("scorer", "source", "partition"),
    order=("bin",),
)


def best_scores(frame: pl.DataFrame) -> pl.Series:
    """The best candidate's score of each image; null where no candidate has one.

    Args:
        frame: `uid`, `score` and, where images have several candidates, `candidate`.
    """
    if "candidate" in frame.columns and frame["candidate"].max() != 0:
        return frame.group_by("uid").agg(pl.col("score").max())["score"]
    return frame["score"]


def vectors_of(packed: pl.Series) -> NDArray[np.float32]:
    """Embeddings of the table `image_embeddings` as an array of shape (n, dimension)."""
    return halves_of(packed).astype(np.float32)


def halves_of(packed: pl.Series) -> NDArray[np.float16]:
    """The same as they are stored, not to be written to; of some.

    Raises:
        ValueError: They are not of one length.
    """
    values, ends = _in_a_row(packed.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()))
    if np.ptp(np.diff(ends)):
        msg = "the embeddings are not of one length"
        raise ValueError(msg)
    return values[ends[0] : ends[-1]].view("<f2").reshape(len(packed), -1)


def _in_a_row(column: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # noqa: ANN401 - pyarrow has no types
    """The bytes of all rows, none of which becomes an object of Python's, and where each ends.

    The first of the ends is where the first row begins.
    """
    _, ends, values = column.buffers()
    of_rows = np.frombuffer(ends, np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(values, np.uint8), of_rows
