"""The sets of uids: those that are computed, partition by partition, and those that are given."""

from collections.abc import Mapping, Sequence

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.sets import UID_SETS
from recap_assets.graph.stage import Dependency, Node, Project, Rows, Step, StoredRows
from recap_assets.sets.facts import Samples, dependencies_of, facts_of
from recap_assets.sets.kind import ComputedSet, GivenSet
from recap_assets.sets.languages import assets as languages
from recap_assets.sets.rules import failures, reasons
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import fitting
from recap_assets.storage.content import frame_version
from recap_assets.storage.settled import settled_version

VERSION = 1
STAGE = "sets"
SECONDS = 0.5


def computed_sets(project: Project) -> Mapping[str, ComputedSet]:
    """The sets that the platform computes, by name; the others are given."""
    sets = project.experiment.sets.items()
    return {name: spec for name, spec in sets if isinstance(spec, ComputedSet)}


def nodes(project: Project) -> list[Node]:
    """A node for each computed set, after those that they alone read."""
    found = computed_sets(project)
    own = [node for name, spec in found.items() for node in spec.nodes(name, project)]
    sets = [_node(project, name, spec) for name, spec in found.items()]
    of_languages = languages.nodes(project, languages_asked(project.experiment))
    return [*of_languages, *own, *sets]


def languages_asked(experiment: Experiment) -> list[tuple[str, str]]:
    """The identifier and the source of each language that a set asks for, each once."""
    rules = [spec.texts for spec in experiment.sets.values() if isinstance(spec, ComputedSet)]
    return list(dict.fromkeys((r.identifier, r.source) for r in rules if r and r.identifies))


def _node(project: Project, name: str, spec: ComputedSet) -> Node:
    # What the facts of another package's kind read of the pool, nobody knows.
    pool = Dependency(RAW_POOL.key(), "same", () if spec.implemented_by else spec.pool_read)
    reads = (pool, *dependencies_of(spec.texts), *spec.reads(name))
    return Node(
        key=UID_SETS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(dict.fromkeys(reads)),
        implementation=VERSION,
        decides=_decides(project, spec),
        compute=lambda step: filter_partition(project, name, step),
        description=f"The samples in the set {name}: the filter {spec.word}.",
        outside=spec.outside(project),
        content=StoredRows(project.workspace.tables, UID_SETS, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _decides(project: Project, spec: ComputedSet) -> str:
    rule, identifier = spec.texts, None
    if rule is not None and rule.identifies:
        identifier = project.experiment.identifiers[rule.identifier].decides()
    return deciding(set=spec.decides(*spec.decided_elsewhere), identifier=identifier)


def filter_partition(project: Project, name: str, step: Step) -> Rows:
    """Find the members in one pool partition; those that are not are counted by reason."""
    spec = computed_sets(project)[name]
    facts = _facts(spec, Samples(project, name, step.partition))
    why = reasons(spec.requirements(), facts)
    members = facts.filter(why.is_null()).select("uid")
    counts = why.drop_nulls().value_counts().sort("reason")
    return Rows(
        members,
        rejected=dict(counts.iter_rows()),
        facts={"samples": facts.height},
        machine=spec.given_by,
    )


def _facts(spec: ComputedSet, samples: Samples) -> pl.DataFrame:
    return spec.facts(facts_of(samples, spec.texts, spec.requirements()), samples)


def members_of(project: Project, name: str, partition: str | None = None) -> pl.Series:
    """The uids of a set, as given or as computed; those of one partition for a computed set.

    Raises:
        SubsetFileError: A file of uids cannot be read.
        KindError: It is of another package's kind, and neither given nor computed.
    """
    if name not in computed_sets(project):
        return fitting(f"sets.{name}", project.experiment.sets[name], GivenSet).members()
    partitions = list(project.partitions) if partition is None else [partition]
    rows = project.workspace.tables.scan(UID_SETS, set=name)
    return rows.filter(pl.col("partition").is_in(partitions)).select("uid").collect()["uid"]


def files_version(project: Project, names: Sequence[str]) -> str:
    """Version of the members of given sets."""
    members = {name: members_of(project, name).sort() for name in names}
    return fingerprint_of(*(f"{n} {frame_version(m.to_frame('uid'))}" for n, m in members.items()))


def members_version(project: Project, names: Sequence[str], partition: str) -> str:
    """Version of the members of given sets in one partition, while the others may change."""
    listed = files_version(project, names)
    files = project.workspace.tables.files_of(RAW_POOL, None, {}).get(partition)
    if not files:
        return listed
    return settled_version(
        project.workspace.contents,
        f"{project.workspace.name} {partition} {' '.join(names)}",
        fingerprint_of(listed, *sorted(files)),
        listed,
        lambda: _members_hash(project, names, partition),
        learns=True,
        writes=not project.is_read_only,
    )


def _members_hash(project: Project, names: Sequence[str], partition: str) -> str:
    rows = project.workspace.tables.scan(RAW_POOL, partition=partition).select("uid")
    uids = rows.unique().collect()
    found: list[str] = []
    for name in names:
        members = members_of(project, name).to_frame("uid")
        found.append(frame_version(uids.join(members, on="uid", how="semi")))
    return fingerprint_of(*found)


def why_not(project: Project, name: str, partition: str, uid: bytes) -> list[str]:
    """In words, what keeps an image out of a computed set; nothing where nothing does."""
    spec = computed_sets(project)[name]
    if not spec.is_ready(name, project):
        return [f"{UID_SETS.key(name)} is not built"]
    facts = _facts(spec, Samples(project, name, partition, uid))
    if facts.is_empty():
        return ["the pool set the sample aside"]
    return failures(spec.requirements(), facts)
