"""Named sets of uids, and what they rest on."""

from dataclasses import replace

import polars as pl

from recap_assets.artefacts.table import (
    INPUT_HASH,
    PARTITION,
    SET,
    SHARD,
    SOURCE,
    UID,
    Column,
    Table,
)

TEXT_LANGUAGES = Table(
    "text_languages",
    "The language of every text of a source (its first usable candidate), by an identifier.",
    {
        "identifier": Column(pl.String, "Language identifier."),
        "source": SOURCE,
        "partition": PARTITION,
        "uid": UID,
        "language": Column(pl.String, "Code of the language, as the identifier's model has it."),
        "probability": Column(pl.Float32, "Of this language, by the model."),
        "input_hash": INPUT_HASH,
    },
    slices=("identifier", "source", "partition"),
    order=("uid",),
)

CLUSTER_CENTROIDS = Table(
    "cluster_centroids",
    "Clusters of the pool's image embeddings, for an image-based set.",
    {
        "set": SET,
        "cluster": Column(pl.Int32, "Number of the cluster, from 0."),
        "centroid": Column(pl.Binary, "float32, little-endian; a mean, not of unit length."),
    },
    slices=("set",),
    order=("cluster",),
)

TARGET_CLUSTERS = Table(
    "target_clusters",
    "The clusters that an image-based set consists of.",
    {
        "set": SET,
        "cluster": Column(pl.Int32, "Number of the cluster."),
        "n_images": Column(pl.Int64, "Target images that it is the nearest to; at least one."),
    },
    slices=("set",),
    order=("cluster",),
)

IMAGE_CLUSTERS = Table(
    "image_clusters",
    "The cluster of every image, for a balanced set.",
    {
        "set": SET,
        "partition": PARTITION,
        "uid": UID,
        "cluster": Column(pl.Int32, "Number of the nearest centroid, by distance."),
        "rank": Column(
            pl.Float64,
            "What decides within the cluster, the lowest first: the score with its sign changed, "
            "or a draw in [0, 1); null where there is no score.",
            nullable=True,
        ),
    },
    slices=("set", "partition"),
    order=("uid",),
)

CLUSTER_CUTS = Table(
    "cluster_cuts",
    "Where a balanced set cuts off each cluster that has more images than it takes.",
    {
        "set": SET,
        "cluster": Column(pl.Int32, "Number of the cluster."),
        "rank": Column(pl.Float64, "Of the last image that is taken."),
        "uid": Column(pl.Binary, "Of the last image that is taken."),
    },
    slices=("set",),
    order=("cluster",),
)

TEXT_COUNTS = Table(
    "text_counts",
    "Which texts and images occur together in a partition, and how often its n-grams do, for a "
    "set by frequency.",
    {
        "set": SET,
        "partition": PARTITION,
        "what": Column(pl.String, "`pair`: a text and an image; `ngram`: one or two words."),
        "key": Column(pl.Int64, "64-bit hash of the text, or of the n-gram."),
        "image": Column(pl.Int64, "First 8 bytes of the image's sha256; 0 for an n-gram."),
        "n": Column(pl.Int64, "How often the partition has it."),
    },
    slices=("set", "partition"),
    order=("what", "key", "image"),
)

TEXT_FREQUENCIES = Table(
    "text_frequencies",
    "What a set by frequency goes by: texts and images that are too frequent, and n-grams that "
    "are frequent enough.",
    {
        "set": SET,
        "what": Column(
            pl.String,
            "`text`, `image`; `ngram`; `cut`: how often the rarest of the n-grams occurs that are "
            "frequent enough.",
        ),
        "key": Column(pl.Int64, "64-bit hash as in text_counts; 0 for `cut`."),
        "n": Column(
            pl.Int64,
            "Different images of a text, texts of an image; null for an n-gram.",
            nullable=True,
        ),
    },
    slices=("set",),
    order=("what", "key"),
)

ENTRY_COUNTS = Table(
    "entry_counts",
    "How many texts of a partition hold each entry of a list, for a set that is drawn by them.",
    {
        "set": SET,
        "partition": PARTITION,
        "language": Column(pl.String, "Of the list; empty where there is one for all texts."),
        "entry": Column(pl.String, "The entry."),
        "n": Column(pl.Int64, "Texts that hold it."),
    },
    slices=("set", "partition"),
    order=("language", "entry"),
)

ENTRY_PROBABILITIES = Table(
    "entry_probabilities",
    "The entries of a list that so many texts hold that not all of these are drawn.",
    {
        "set": SET,
        "language": Column(pl.String, "Of the list; empty where there is one for all texts."),
        "entry": Column(pl.String, "The entry."),
        "n": Column(pl.Int64, "Texts of the pool that hold it."),
        "probability": Column(pl.Float64, "That a text is drawn for it: t / n, below 1."),
    },
    slices=("set",),
    order=("language", "entry"),
)

TEXT_SIGNATURES = Table(
    "text_signatures",
    "What near duplicates among texts are found by, for a set of unique texts.",
    {
        "set": SET,
        "partition": PARTITION,
        "uid": UID,
        "same": Column(pl.Int64, "64-bit hash of the normalised text."),
        "bands": Column(
            pl.Binary, "A 64-bit hash for each band of the MinHash signature, little-endian."
        ),
    },
    slices=("set", "partition"),
    order=("uid",),
)

DUPLICATES = Table(
    "duplicates",
    "Samples that share their image or their text with others, for every set of unique ones.",
    {
        "set": SET,
        "shard": replace(SHARD, default=0),
        "uid": UID,
        "kept": Column(pl.Binary, "uid of the sample of its group that is kept; its own or not."),
    },
    slices=("set",),
    # By shard, so that a partition's are beside each other and found by the files' statistics.
    order=("shard", "uid"),
)

UID_SETS = Table(
    "uid_sets",
    "The members of every computed set of uids.",
    {"set": SET, "partition": PARTITION, "uid": UID},
    slices=("set", "partition"),
    order=("uid",),
)
