"""Samples of the pool that are one: by bytes, perceptual hash or embedding, or by their text."""

from collections.abc import Iterator
from functools import partial

from recap_assets.artefacts import DUPLICATES, IMAGE_EMBEDDINGS, RAW_POOL, TEXT_SIGNATURES
from recap_assets.artefacts.facets import HASHES, IMAGES, SAMPLES, SIZES
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
from recap_assets.sets.kinds.unique.finding import alike_samples
from recap_assets.sets.kinds.unique.groups import duplicates
from recap_assets.sets.kinds.unique.samples import PoolSamples
from recap_assets.sets.kinds.unique.spec import UniqueSpec
from recap_assets.specs.base import deciding

VERSION = 2
STAGE = "sets"
SECONDS = 5.0


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
    """Compare all usable samples of the pool, a partition at a time."""
    samples = PoolSamples.of_pool(project, name, spec)
    n = len(samples)
    step.progress(0.1)
    alike_texts = partial(texts.alike_texts, project, name, spec)
    rows = duplicates(alike_samples(samples, n, name, spec, alike_texts))
    n_groups = rows["kept"].n_unique()
    facts = {
        "samples": n,
        "groups": n_groups,
        "left_out": rows.height - n_groups,
        "largest_group": int(rows["kept"].value_counts()["count"].max() or 0),  # type: ignore[arg-type]
    }
    return Rows(rows, facts=facts)
