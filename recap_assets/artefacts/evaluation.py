"""Results on evaluation sets."""

import polars as pl

from recap_assets.artefacts.table import HASH, INPUT_HASH, MIX, SEED, SOURCE, Column, Table

EVALUATION_IMAGES = Table(
    "evaluation_images",
    "Every evaluation image and whether the pool has it too.",
    {
        "task": Column(pl.String, "Evaluation task."),
        "number": Column(pl.Int64, "Place of the image in its set, from 0."),
        "perceptual_hash": Column(pl.Int64, "64-bit DCT hash of the image."),
        "n_pool_matches": Column(pl.Int64, "Pool images with nearly the same hash."),
    },
    slices=(),
    order=("task", "number"),
)

EVALUATION_RESULTS = Table(
    "evaluation_results",
    "What each trained CLIP scores on each task.",
    {
        "mix": MIX,
        "seed": SEED,
        "task": Column(pl.String, "Evaluation task."),
        "metric": Column(pl.String, "acc1, mean_recall@1, image_to_text:swap_att, chance, ..."),
        "value": Column(
            pl.Float64, "Between 0 and 1, but for `spearman` (-1 to 1) and rank variances."
        ),
        "is_main": Column(pl.Boolean, "True for the task's main metric."),
        "n_samples": Column(pl.Int64, "Images of the task."),
        HASH: INPUT_HASH,
    },
    slices=("mix", "seed"),
    order=("task", "metric"),
)

CAPTION_METRICS = Table(
    "caption_metrics",
    "How well each captioner describes images that people described.",
    {
        "source": SOURCE,
        "task": Column(pl.String, "Evaluation task whose captions are the references."),
        "metric": Column(
            pl.String,
            "CIDEr (CIDEr-D, 0 to 10), BLEU-1 to BLEU-4, ROUGE-L, CLIP-S (0 to 2.5), RefCLIP-S, "
            "self_retrieval_recall@1, also `:bags_of_N`, among similar images.",
        ),
        "value": Column(pl.Float64, "Over the whole set; an image without caption counts."),
        "n_images": Column(pl.Int64, "Images of the set."),
        "scorer": Column(
            pl.String, "What embedded images and texts; null for text metrics.", nullable=True
        ),
    },
    slices=("source",),
    order=("task", "metric"),
)
