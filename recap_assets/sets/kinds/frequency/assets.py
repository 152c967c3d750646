"""Counts of texts, images and n-grams: of each partition, and of the pool."""

import polars as pl

from recap_assets.artefacts import (
    RAW_POOL,
    TEXT_COUNTS,
    TEXT_FREQUENCIES,
    first_texts,
    is_usable,
)
from recap_assets.artefacts.facets import IMAGES
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    first_texts_read,
)
from recap_assets.sets.kinds.frequency.counting import (
    CUT,
    IMAGE,
    NGRAM,
    TEXT,
    count_texts,
    frequent_ngrams,
    image_key,
    too_frequent,
)
from recap_assets.sets.kinds.frequency.spec import FrequencySpec
from recap_assets.specs.base import deciding

VERSION = 1
STAGE = "sets"
SECONDS = 2.0


def nodes_of(project: Project, name: str, spec: FrequencySpec) -> list[Node]:
    """The counts that a set by frequency rests on."""
    return [_counts_node(project, name, spec), _pool_node(project, name, spec)]


def _counts_node(project: Project, name: str, spec: FrequencySpec) -> Node:
    return Node(
        key=TEXT_COUNTS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(
            Dependency(RAW_POOL.key(), "same", (IMAGES,)),
            first_texts_read(spec.source),
        ),
        implementation=VERSION,
        decides=deciding(source=spec.source),
        compute=lambda step: count_partition(project, spec, step),
        description=f"How often texts, images and n-grams of {spec.source} occur, for {name}.",
        content=StoredRows(project.workspace.tables, TEXT_COUNTS, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def count_partition(project: Project, spec: FrequencySpec, step: Step) -> Rows:
    """Count the texts of one partition with their images, and their n-grams."""
    tables = project.workspace.tables
    images = tables.scan(RAW_POOL, partition=step.partition).filter(is_usable())
    texts = first_texts(tables, spec.source, step.partition)
    found = texts.join(images.select("uid", image=image_key()).collect(), on="uid")
    return Rows(count_texts(found), facts={"texts": found.height})


def _pool_node(project: Project, name: str, spec: FrequencySpec) -> Node:
    limits = ("images_per_text", "texts_per_image", "frequent_ngrams")
    return Node(
        key=TEXT_FREQUENCIES.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(Dependency(TEXT_COUNTS.key(name), "all"),),
        implementation=VERSION,
        decides=deciding(limits={field: getattr(spec, field) for field in limits}),
        compute=lambda step: count_pool(project, name, spec, step),
        description=f"Texts and images that are too frequent for {name}, and n-grams that are "
        "frequent enough.",
        content=StoredRows(project.workspace.tables, TEXT_FREQUENCIES, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def count_pool(project: Project, name: str, spec: FrequencySpec, step: Step) -> Rows:
    """Add up the partitions' counts, a range of hashes at a time."""
    current = list(project.partitions)

    def counts(what: str) -> pl.LazyFrame:
        rows = project.workspace.tables.scan(TEXT_COUNTS, set=name)
        return rows.filter(pl.col("partition").is_in(current) & (pl.col("what") == what))

    parts, facts = list[pl.DataFrame](), dict[str, int]()
    pairs = (
        (TEXT, "key", "image", spec.images_per_text),
        (IMAGE, "image", "key", spec.texts_per_image),
    )
    for what, by, of, limit in pairs:
        if limit is not None:
            found = too_frequent(counts, by, of, limit)
            parts.append(found.select(pl.lit(what).alias("what"), "key", "n"))
            facts[f"common_{what}s"] = found.height
    step.progress(0.5)
    cut, ngrams = 0, pl.DataFrame(schema={"key": pl.Int64})
    if spec.frequent_ngrams is not None:
        cut, ngrams = frequent_ngrams(counts, spec.frequent_ngrams)
        facts["least_ngram_count"] = cut
    n = pl.lit(None, pl.Int64).alias("n")
    parts.append(ngrams.select(pl.lit(NGRAM).alias("what"), "key", n))
    parts.append(pl.DataFrame({"what": [CUT], "key": [0], "n": [cut]}))
    return Rows(pl.concat(parts).sort("what", "key"), facts=facts)
