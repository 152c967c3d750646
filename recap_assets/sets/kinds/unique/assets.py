"""Samples of the pool that are one: by bytes, perceptual hash or embedding, or by their text."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import (
    DUPLICATES,
    IMAGE_EMBEDDINGS,
    RAW_POOL,
    TEXT_SIGNATURES,
    is_usable,
)
from recap_assets.artefacts.facets import HASHES, IMAGES, SAMPLES, SIZES
from recap_assets.engines.errors import INSTALL_FILTERS, explain_loading
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    first_texts_read,
)
from recap_assets.sets.kinds.unique import texts
from recap_assets.sets.kinds.unique.groups import duplicates, groups_of
from recap_assets.sets.kinds.unique.spec import UniqueSpec
from recap_assets.sets.nearest import nearest_centroids
from recap_assets.specs.base import deciding

VERSION = 1
STAGE = "sets"
SECONDS = 5.0
ITERATIONS = 20

_COLUMN = {"sha256": "sha256", "perceptual": "perceptual_hash"}


def nodes_of(project: Project, name: str, spec: UniqueSpec) -> list[Node]:
    """The asset that holds the duplicates of a set of unique samples, and what it alone reads."""
    own = [texts.signatures_node(project, name, spec)] if spec.by == "text" else []
    return [*own, _duplicates_node(project, name, spec)]


def _read(name: str, spec: UniqueSpec) -> Iterator[Dependency]:
    compared = {"sha256": IMAGES, "perceptual": HASHES}.get(spec.by, SAMPLES)
    ranked = (SIZES,) if spec.keep == "largest" else ()
    yield Dependency(RAW_POOL.key(), "all", (compared, *ranked))
    if spec.scorer is not None:
        yield Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "all")
    if spec.by == "text":
        yield Dependency(TEXT_SIGNATURES.key(name), "all")
        yield first_texts_read(spec.source, "all")


def _duplicates_node(project: Project, name: str, spec: UniqueSpec) -> Node:
    return Node(
        key=DUPLICATES.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(_read(name, spec)),
        implementation=VERSION,
        decides=deciding(unique=_decisive(spec)),
        compute=lambda step: find_duplicates(project, name, spec, step),
        description=f"Samples that share their {spec.shared} with others, by {spec.by}, and which "
        f"one of each group {name} keeps.",
        content=StoredRows(project.workspace.tables, DUPLICATES, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _decisive(spec: UniqueSpec) -> dict[str, object]:
    # What another kind of comparison asks for decides nothing.
    of_texts = ("source", "jaccard", "ngram", "bands", "band_rows")
    ignored = {
        "sha256": ("bits", "cosine", "clusters", "seed", *of_texts),
        "perceptual": ("cosine", "clusters", "seed", *of_texts),
        "embedding": ("bits", *of_texts),
        # The signatures have what decides them.
        "text": ("scorer", "bits", "cosine", "clusters", "seed", "bands", "band_rows"),
    }
    return dict(spec.decides(*ignored[spec.by]))


def find_duplicates(project: Project, name: str, spec: UniqueSpec, step: Step) -> Rows:
    """Compare all usable samples of the pool."""
    samples = _samples(project, name, spec)
    step.progress(0.2)
    groups = _groups(project, name, spec, samples)
    rows = duplicates(samples.select("uid", "rank"), groups)
    n_groups = rows["kept"].n_unique()
    facts = {
        "samples": samples.height,
        "groups": n_groups,
        "left_out": rows.height - n_groups,
        "largest_group": int(rows["kept"].value_counts()["count"].max() or 0),  # type: ignore[arg-type]
    }
    return Rows(rows, facts=facts)


def _samples(project: Project, name: str, spec: UniqueSpec) -> pl.DataFrame:
    """Usable samples in the order of uid: uid, rank, and what they are compared by as `key`."""
    sides = [pl.coalesce(f"original_{side}", side).cast(pl.Int64) for side in ("width", "height")]
    rank = sides[0] * sides[1] if spec.keep == "largest" else pl.lit(0, pl.Int64)
    tables, current = project.workspace.tables, pl.col("partition").is_in(list(project.partitions))
    rows = tables.scan(RAW_POOL).filter(is_usable() & current)
    key = _COLUMN.get(spec.by)
    columns = {"rank": rank} | ({} if key is None else {"key": pl.col(key)})
    samples = rows.select("uid", **columns)
    if spec.scorer is not None:
        embedded = tables.scan(IMAGE_EMBEDDINGS, scorer=spec.scorer).filter(current)
        samples = samples.join(embedded.select("uid", key="embedding"), on="uid")
    if spec.by == "text":
        signed = tables.scan(TEXT_SIGNATURES, set=name).filter(current)
        samples = samples.join(signed.select("uid", key="same"), on="uid")
    return samples.drop_nulls("key").sort("uid").collect()


def _groups(
    project: Project, name: str, spec: UniqueSpec, samples: pl.DataFrame
) -> NDArray[np.int64]:
    """A number for each sample's group. Equal keys are of one group without being compared."""
    keys = samples["key"].unique(maintain_order=True)
    number = pl.DataFrame({"key": keys, "number": np.arange(len(keys))})
    numbers = samples.select("key").join(number, on="key", maintain_order="left")["number"]
    if spec.by == "sha256" or (spec.by == "text" and spec.jaccard == 1):
        return numbers.to_numpy()
    if spec.by == "text":
        # One sample stands for all with its words: the first by uid.
        first = samples.unique("key", keep="first", maintain_order=True)["uid"]
        pairs = texts.alike_texts(project, name, spec, first)
        return groups_of(len(keys), pairs)[numbers.to_numpy()]
    with explain_loading(f"sets.{name}", INSTALL_FILTERS):
        from recap_assets.engines import neighbours
    if spec.by == "perceptual":
        pairs = neighbours.hash_pairs(keys.to_numpy(), spec.bits)
        return groups_of(len(keys), pairs)[numbers.to_numpy()]
    packed = b"".join(keys)
    vectors = np.frombuffer(packed, "<f2").reshape(len(keys), -1).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return groups_of(len(keys), _alike(spec, vectors))[numbers.to_numpy()]


def _alike(spec: UniqueSpec, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    from recap_assets.engines.clustering import k_means
    from recap_assets.engines.neighbours import embedding_pairs

    clusters = min(spec.clusters, len(vectors))
    if clusters <= 1:
        return embedding_pairs(vectors, spec.cosine)
    centroids = k_means(vectors, clusters, iterations=ITERATIONS, seed=spec.seed)
    nearest = nearest_centroids(vectors, centroids)
    found = [np.empty((0, 2), np.int64)]
    for cluster in range(clusters):
        members = np.flatnonzero(nearest == cluster)
        found.append(members[embedding_pairs(vectors[members], spec.cosine)])
    return np.concatenate(found)
