"""What training sees of each mix, as a hash: on it rests whether a CLIP is trained again.

A mix's table also has the source, score and rule of each pair. They may change (rules were
renumbered, a scorer was replaced) while each pair's image, text and weight stay; that is no reason
to train again. See docs/adr/0005-what-a-training-rests-on.md and
docs/adr/0051-equal-pairs-are-trained-on-once.md.
"""

import hashlib
from collections.abc import Mapping

import polars as pl

from recap_assets.artefacts.facets import PAIRS, SEEN_SOURCES, TRAINING_FACETS
from recap_assets.artefacts.facets import SEEN as SEEN_FACET
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.training import TRAINING_PAIRS
from recap_assets.graph.content import StoredRows, held_rows
from recap_assets.graph.node import Dependency, Node, Place, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.storage.content import VERSION_DIGITS, frame_version
from recap_assets.training.pair_sums import pairs_sum

VERSION = 3
STAGE = "training"
SECONDS = 0.5
SEEN = ("uid", "image_hash", "text", "weight")
"""The columns of a pair that decide a training: which image, its text, how often it is drawn.

`copies` too, where a pair has several.
"""


def nodes(project: Project) -> list[Node]:
    """A node for each mix that is trained on."""
    mixes = project.experiment.mixes if project.experiment.trains else ()
    return [_node(project, mix) for mix in mixes]


def _node(project: Project, mix: str) -> Node:
    return Node(
        key=TRAINING_PAIRS.key(mix),
        stage=STAGE,
        dimension="none",
        dependencies=(Dependency(CURATED_MIXES.key(mix), "all", (_facet_seen(project),)),),
        implementation=VERSION,
        decides=deciding(**_beside(project)),
        compute=lambda step: hash_pairs(project, mix, step),
        description=f"A hash of what training sees of {mix}: images, texts, weights. While it "
        "stays, nothing is trained again.",
        content=StoredRows(
            project.workspace.tables,
            TRAINING_PAIRS,
            {"mix": mix},
            version_of=pairs_version,
            facets=TRAINING_FACETS,
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _beside(project: Project) -> Mapping[str, object]:
    """What training sees of a pair beside `SEEN`; nothing is said of it where there is nothing."""
    return {"beside": ["source"]} if project.experiment.training.marks_sources else {}


def _facet_seen(project: Project) -> str:
    return SEEN_SOURCES if project.experiment.training.marks_sources else SEEN_FACET


def edge_to(asset: str) -> Dependency:
    """The edge of whoever learns from what an asset made: of training pairs, which those are."""
    is_pairs = asset.startswith(TRAINING_PAIRS.key(""))
    return Dependency(asset, "all", (PAIRS,) if is_pairs else ())


def hash_pairs(project: Project, mix: str, step: Step) -> Rows:
    """Hash the pairs of each partition."""
    partitions = list(project.partitions)
    rows: list[tuple[str, str, int, int, str, str]] = []
    sums = _held_sums(project, mix)
    for i, partition in enumerate(partitions):
        pairs = _pairs(project, mix, partition)
        if not pairs.is_empty():
            counts = pairs.height, pairs["uid"].n_unique()
            version = _version(pairs)
            rows.append((mix, partition, *counts, version, sums.get(version) or pairs_sum(pairs)))
        step.progress((i + 1) / len(partitions))
    frame = pl.DataFrame(rows, schema=TRAINING_PAIRS.schema, orient="row")
    return Rows(
        frame,
        facts={"pairs": int(frame["n_pairs"].sum()), "images": int(frame["n_images"].sum())},
    )


def _pairs(project: Project, mix: str, partition: str) -> pl.DataFrame:
    columns = [*SEEN, *(["source"] if project.experiment.training.marks_sources else [])]
    scanned = project.workspace.tables.scan(CURATED_MIXES, mix=mix, partition=partition)
    return scanned.select(*columns, "copies").collect()


def _version(pairs: pl.DataFrame) -> str:
    is_once = (pairs["copies"] == 1).all()
    return frame_version(pairs.drop("copies") if is_once else pairs)


def _held_sums(project: Project, mix: str) -> Mapping[str, str]:
    """The sums that are stored, by the hash of the same pairs: a sum takes longer than a hash."""
    held = held_rows(project.workspace.tables, Place(TRAINING_PAIRS, {"mix": mix}))
    return {} if held is None else dict(held.select("pairs", "sum").iter_rows())


def pairs_version(rows: pl.DataFrame) -> str:
    """One hash for all pairs of a mix.

    Args:
        rows: TRAINING_PAIRS of the mix. Which partition has which pairs does not matter, and one
            without pairs has no row, so a shard of which nothing is taken changes nothing.
    """
    digest = hashlib.sha256("\n".join(rows["pairs"].sort()).encode())
    return digest.hexdigest()[:VERSION_DIGITS]
