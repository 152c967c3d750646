"""Curated mixes and their cut-offs."""

import polars as pl

from recap_assets.artefacts.table import (
    CANDIDATE,
    MIX,
    PARTITION,
    SHARD,
    UID,
    Column,
    Table,
)

THRESHOLDS = Table(
    "thresholds",
    "Cut-offs of each mix as realised.",
    {
        "mix": MIX,
        "path": Column(pl.String, "Where in the mix the cut-off stands: rules.0.where.top, ..."),
        "kind": Column(pl.String, "absolute, quantile, size, or copies (of a draw with repeats)."),
        "requested": Column(pl.Float64, "The number in the spec: a score, a fraction or a size."),
        "scorer": Column(pl.String, "The mix's scorer, where `source` names none."),
        "source": Column(
            pl.String, "The score column that was ranked: `SOURCE`, `SCORER.SOURCE`, `used`, ..."
        ),
        "population": Column(pl.Int64, "Scored samples that were ranked, or pairs to draw from."),
        "value": Column(
            pl.Float32,
            "The cut-off: keep score >= value. Of copies, the score of one expected copy.",
            nullable=True,
        ),
        "n_at_or_above": Column(pl.Int64, "Samples at or above it."),
        "n_tied": Column(pl.Int64, "Samples exactly at it."),
    },
    slices=("mix",),
    order=("path",),
)

CURATED_MIXES = Table(
    "curated_mixes",
    "The training pairs of each mix.",
    {
        "mix": MIX,
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "source": Column(pl.String, "Where the text comes from; joined sources as a+b."),
        "candidate": CANDIDATE,
        "text": Column(pl.String, "What is trained on."),
        "score": Column(pl.Float32, "Score of the text, the mean for joined texts.", nullable=True),
        "weight": Column(pl.Float32, "How often training draws the pair, relatively."),
        "rule": Column(pl.Int16, "Number of the rule that accepted the image."),
        "copies": Column(pl.Int32, "How many times the pair is in the mix.", default=1),
        "image_hash": Column(
            pl.Int64, "First 8 bytes of the image's sha256, big-endian: which image it is."
        ),
    },
    slices=("mix", "partition"),
    order=("shard", "uid", "rule", "source", "candidate"),
)
