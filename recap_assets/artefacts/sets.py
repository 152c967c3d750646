"""Named sets of uids, and what they rest on."""

import polars as pl

from recap_assets.artefacts.table import PARTITION, SET, SOURCE, UID, Column, Table

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

DUPLICATES = Table(
    "duplicates",
    "Samples that share their image with others, for every set of unique images.",
    {
        "set": SET,
        "uid": UID,
        "kept": Column(pl.Binary, "uid of the sample of its group that is kept; its own or not."),
    },
    slices=("set",),
    order=("uid",),
)

UID_SETS = Table(
    "uid_sets",
    "The members of every computed set of uids.",
    {"set": SET, "partition": PARTITION, "uid": UID},
    slices=("set", "partition"),
    order=("uid",),
)
