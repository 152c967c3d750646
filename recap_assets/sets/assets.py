"""The computed sets of uids: DataComp's filters, partition by partition."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import polars as pl

from recap_assets.artefacts.captions import first_candidates
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, IMAGE_SCORES
from recap_assets.artefacts.sets import CLUSTER_CENTROIDS, DUPLICATES, TARGET_CLUSTERS, UID_SETS
from recap_assets.artefacts.uids import read_subset
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside, metadata_outside
from recap_assets.graph.project import Setting
from recap_assets.scores import assets as scores
from recap_assets.sets.facts import dependencies_of, facts_of
from recap_assets.sets.kinds.image_based import clusters
from recap_assets.sets.kinds.text_based.wordnet import files_hash, wordnet_files
from recap_assets.sets.rules import caption_requirements, failures, reasons, requirements_of
from recap_assets.shards.metadata import metadata_scores
from recap_assets.specs.base import deciding
from recap_assets.specs.sets import (
    ComputedSet,
    ImageBased,
    ImageScoreRule,
    Laion2b,
    TextBased,
    UidFile,
    Unique,
    text_rule,
)
from recap_assets.storage.folder_content import UNREADABLE

VERSION = 1
STAGE = "sets"
SECONDS = 0.5

# Files count by their content, and what decides clusters and duplicates by those.
_DECIDED_ELSEWHERE = (
    "wordnet", "synsets", "centroids", "target", "clusters", "iterations", "sample", "seed",
    "by", "bits", "cosine", "keep",
)  # fmt: skip


def computed_sets(setting: Setting) -> Mapping[str, ComputedSet]:
    """The sets that the platform computes, by name; the others are files."""
    sets = setting.experiment.sets.items()
    return {name: spec for name, spec in sets if not isinstance(spec, UidFile)}


def nodes(setting: Setting) -> list[Node]:
    """A node for each computed set."""
    return [_node(setting, name, spec) for name, spec in computed_sets(setting).items()]


def _node(setting: Setting, name: str, spec: ComputedSet) -> Node:
    return Node(
        key=UID_SETS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(dict.fromkeys(_dependencies(name, spec))),
        implementation=VERSION,
        decides=_decides(setting, spec),
        compute=lambda step: filter_partition(setting, name, step),
        description=f"The samples in the set {name}: the filter {spec.kind}.",
        outside=_outside(setting, spec),
        content=StoredRows(setting.workspace.tables, UID_SETS, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _dependencies(name: str, spec: ComputedSet) -> Iterator[Dependency]:
    yield from dependencies_of(text_rule(spec))
    if isinstance(spec, Laion2b) and spec.scorer is not None:
        yield Dependency(CLIP_SCORES.key(spec.scorer, spec.source), "same")
    if isinstance(spec, ImageScoreRule):
        yield Dependency(IMAGE_SCORES.key(spec.scorer), "same")
    if isinstance(spec, Unique):
        yield Dependency(DUPLICATES.key(name), "all")
    if isinstance(spec, ImageBased):
        yield Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "same")
        yield Dependency(CLUSTER_CENTROIDS.key(name), "all")
        yield Dependency(TARGET_CLUSTERS.key(name), "all")


def _decides(setting: Setting, spec: ComputedSet) -> str:
    rule = text_rule(spec)
    identifier = None
    if rule is not None and rule.language:
        identifier = setting.experiment.identifiers[rule.identifier].decides()
    return deciding(set=spec.decides(*_DECIDED_ELSEWHERE), identifier=identifier)


def _outside(setting: Setting, spec: ComputedSet) -> Outside | None:
    match spec:
        case TextBased():
            # Of WordNet's folder some files are read.
            return lambda _partition: _wordnet_version(spec)
        case Laion2b() if spec.pool_scores is not None:
            return metadata_outside(setting)
        case _:
            return None


def _wordnet_version(spec: TextBased) -> str:
    try:
        return files_hash([*wordnet_files(spec.wordnet), Path(spec.synsets)])
    except OSError:
        # Told in words when a partition is computed.
        return UNREADABLE


def filter_partition(setting: Setting, name: str, step: Step) -> Rows:
    """Find the members in one pool partition; those that are not are counted by reason."""
    spec = computed_sets(setting)[name]
    facts = _facts(setting, name, spec, step.partition)
    why = reasons(requirements_of(spec), facts)
    members = facts.filter(why.is_null()).select("uid")
    counts = why.drop_nulls().value_counts().sort("reason")
    return Rows(members, rejected=dict(counts.iter_rows()), facts={"samples": facts.height})


def _facts(
    setting: Setting, name: str, spec: ComputedSet, partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    facts = facts_of(setting, text_rule(spec), partition, uid)
    match spec:
        case Laion2b():
            return _with_scores(setting, spec, facts, partition)
        case ImageScoreRule():
            scored = setting.workspace.tables.read(
                IMAGE_SCORES, scorer=spec.scorer, partition=partition
            )
            found = scored.select("uid", image_score="score")
            return facts.join(found, on="uid", how="left", maintain_order="left")
        case Unique():
            found = setting.workspace.tables.read(DUPLICATES, set=name).select("uid", "kept")
            return facts.join(found, on="uid", how="left", maintain_order="left")
        case ImageBased():
            embeddings = clusters.embeddings_of(setting, spec.scorer, partition, uid)
            if uid is None:
                # Where the text is not as asked, the cluster need not be known.
                fits = reasons(caption_requirements(spec.captions), facts).is_null()
                embeddings = embeddings.join(facts.filter(fits), on="uid", how="semi")
            return clusters.with_clusters(setting, name, facts, embeddings)
        case _:
            return facts


def _with_scores(
    setting: Setting, spec: Laion2b, facts: pl.DataFrame, partition: str
) -> pl.DataFrame:
    if spec.pool_scores is not None:
        folder = scores.metadata_folder(setting)
        return facts.with_columns(score=metadata_scores(folder, spec.pool_scores, facts["uid"]))
    stored = setting.workspace.tables.scan(
        CLIP_SCORES, scorer=spec.scorer or "", source=spec.source, partition=partition
    )
    found = first_candidates(stored.select("uid", "candidate", "score").collect())
    return facts.join(found.select("uid", "score"), on="uid", how="left", maintain_order="left")


def members_of(setting: Setting, name: str, partition: str | None = None) -> pl.Series:
    """The uids of a set, of a file or as computed; those of one partition for a computed set.

    Raises:
        SubsetFileError: Its file cannot be read.
    """
    spec = setting.experiment.sets[name]
    if isinstance(spec, UidFile):
        return _of_file(Path(spec.uids))
    partitions = list(setting.partitions) if partition is None else [partition]
    rows = setting.workspace.tables.scan(UID_SETS, set=name)
    return rows.filter(pl.col("partition").is_in(partitions)).select("uid").collect()["uid"]


def _of_file(path: Path) -> pl.Series:
    if not path.is_file():
        return read_subset(path)  # which says what is wrong
    stamp = path.stat()
    return _read_once(path, stamp.st_size, stamp.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_once(path: Path, _size: int, _modified: int) -> pl.Series:
    # A file is asked for at every partition.
    return read_subset(path)


def why_not(setting: Setting, name: str, partition: str, uid: bytes) -> list[str]:
    """In words, what keeps an image out of a computed set; nothing where nothing does."""
    spec = computed_sets(setting)[name]
    clustered = setting.workspace.tables.has(CLUSTER_CENTROIDS, {"set": name})
    if isinstance(spec, ImageBased) and not clustered:
        return [f"{UID_SETS.key(name)} is not built"]
    facts = _facts(setting, name, spec, partition, uid)
    if facts.is_empty():
        return ["the pool set the sample aside"]
    return failures(requirements_of(spec), facts)
