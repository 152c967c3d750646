"""Image embeddings, and scores of captions and of images."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.table import (
    CANDIDATE,
    PARTITION,
    SCORER,
    SHARD,
    SOURCE,
    UID,
    Column,
    Table,
)

IMAGE_EMBEDDINGS = Table(
    "image_embeddings",
    "Unit-length image embeddings, once for each scorer.",
    {
        "scorer": SCORER,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "embedding": Column(pl.Binary, "float16, little-endian, L2-normalised."),
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
            pl.Float32, "Cosine in [-1, 1]; null where there is no caption.", nullable=True
        ),
    },
    slices=("scorer", "source", "partition"),
    order=("shard", "uid", "candidate"),
    constraints=(("score_is_a_cosine", "score IS NULL OR (score >= -1.001 AND score <= 1.001)"),),
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
        "bin": Column(pl.Int32, "floor((score + 1) / 1e-4)."),
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
    joined = b"".join(packed)
    return np.frombuffer(joined, dtype="<f2").reshape(len(packed), -1).astype(np.float32)
