"""What is trained, and on what."""

import polars as pl

from recap_assets.artefacts.table import MIX, PARTITION, SEED, Column, Files, Table

TRAINING_PAIRS = Table(
    "training_pairs",
    "What training sees of each mix, as hashes: another hash, another training.",
    {
        "mix": MIX,
        "partition": PARTITION,
        "n_pairs": Column(pl.Int64, "Pairs."),
        "n_images": Column(pl.Int64, "Distinct images."),
        "pairs": Column(pl.String, "Hash of their uid, image_hash, text, weight and copies."),
        "sum": Column(
            pl.String,
            "64 hex digits: the sum of the pairs' own hashes, modulo 2^256. Those of partitions "
            "add up to that of the mix, wherever in the pool the pairs are.",
            default="",
        ),
    },
    slices=("mix",),
    order=("partition",),
)

TRAINING_CURVES = Table(
    "training_curves",
    "Loss and throughput of each training run.",
    {
        "mix": MIX,
        "seed": SEED,
        "step": Column(pl.Int64, "Steps done."),
        "samples_seen": Column(pl.Int64, "Pairs seen."),
        "loss": Column(pl.Float64, "Contrastive loss, mean since the last row."),
        "learning_rate_factor": Column(pl.Float64, "Schedule's factor on the peak rate."),
    },
    slices=("mix", "seed"),
    order=("step",),
)

MODELS = Files("models")
"""What the platform trains on a corpus: scorers, image towers, captioners."""

TRAINED_CLIP = Files("trained_clip")
"""A CLIP for each mix and seed."""

TRAINING_SHARDS = Files("training_shards")
"""Which exported shards open_clip's trainer reads for a mix."""
