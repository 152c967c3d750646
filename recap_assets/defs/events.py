"""Materialization events: written with our own versions, read back as records and as lineage.

Dagster copies one data version to every partition of a run that holds several, and hashes their
provenance over the batch (issues 34013, 18649, 21072). So each partition's event is logged by hand
as it finishes, which also keeps what is done when the run dies, and the automatic events are
suppressed by a private metadata key. A test asserts that one partition gives one event.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from recap_assets.graph.building import Built, provenance
from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.node import Node
from recap_assets.graph.records import OUTSIDE, Implementation, Inputs, Record
from recap_assets.untrusted.secrets import redacted
from recap_assets.untrusted.showing import safe_text

DATA_VERSION = "dagster/data_version"
USER_PROVIDED = "dagster/data_version_is_user_provided"
CODE_VERSION = "dagster/code_version"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_EVENT = "dagster/input_event_pointer/"
OUTSIDE_VERSION = "recap/outside_version"
FINGERPRINT = "recap/fingerprint"
EXPERIMENT = "recap/experiment"
N_ROWS = "recap/n_rows"

ROW_COUNT = "dagster/row_count"
PARTITION_ROW_COUNT = "dagster/partition_row_count"
"""Dagster's names for the rows of a whole table, and for those of one partition."""
RESULT = "result"
COMPUTED, REUSED, TAKEN = "computed", "reused", "taken over"
REJECTED = "rejected"
BUILT = "built"
"""Metadata that holds everything about the building, as one JSON value."""

NO_AUTOMATIC_EVENTS = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}


@dataclass(frozen=True)
class Account:
    """How a partition came about, as its event keeps it beside the versions.

    Attributes:
        decides: What decided the content, as `Node.decides`.
        implementation: Version of the code.
        reads: For each asset that was read: its partition of the same key, or all of them.
        table_versions: Delta version at which each table's slice can be read.
        rejected: Rows set aside, by reason.
        facts: Numbers and words for people.
        provenance: Git commit, library versions; threads and processor of what torch computed.
        seconds: What computing it took, when it was computed last.
        n_bytes: Bytes written then.
        gpu_seconds: Seconds that a GPU was held then.
        device: What computed it.
        reused: Whether nothing was computed this time.
        facets: Version of each facet of the content.
        facets_read: For each asset that was not read whole: the version of what was read of it.
    """

    decides: str = "{}"
    implementation: int = 0
    reads: Mapping[str, str] = field(default_factory=dict)
    table_versions: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str | float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    n_bytes: int = 0
    gpu_seconds: float = 0.0
    device: str = "cpu"
    reused: bool = False
    facets: Mapping[str, str] = field(default_factory=dict)
    facets_read: Mapping[str, str] = field(default_factory=dict)


def account_of(node: Node, built: Built, before: Account | None) -> Account:
    """The account of one building.

    Args:
        node: The node.
        built: What building it gave.
        before: The account of the event before this one: what was not written again is where it
            was, and what was reused came about as it did then.
    """
    record, outcome = built.record, built.outcome
    made_by = {**provenance(), **outcome.machine}
    versions = dict(before.table_versions) if before else {}
    versions |= {w.table: w.table_version for w in outcome.written if w.table_version is not None}
    return Account(
        decides=node.decides,
        implementation=node.implementation,
        reads={dep.asset: dep.partitions for dep in node.dependencies},
        table_versions=versions,
        rejected=dict(outcome.rejected),
        facts=dict(before.facts) if built.reused and before else dict(outcome.facts),
        provenance=dict(before.provenance) if built.reused and before else made_by,
        seconds=round(record.seconds, 3),
        n_bytes=record.n_bytes,
        gpu_seconds=round(record.gpu_seconds, 3),
        device=before.device if built.reused and before else outcome.device,
        reused=built.reused,
        facets=record.facets.by_name,
        facets_read=record.facets_read,
    )


def result_of(built: Built) -> str:
    """Whether the partition was computed, was up to date, or came from a former result."""
    if built.reused:
        return REUSED
    return TAKEN if TAKEN_OVER in built.outcome.facts else COMPUTED


def materialization(
    key: dg.AssetKey,
    partition: str,
    built: Built,
    account: Account,
    experiment: str,
    origin: str | None = None,
    described: Mapping[str, dg.MetadataValue] = MappingProxyType({}),
) -> dg.AssetMaterialization:
    """The event of one finished partition.

    Args:
        key: The asset.
        partition: The partition's key; empty where there is none.
        built: What building it gave.
        account: How it came about.
        experiment: Hash of the whole experiment.
        origin: The tree of what it came from, in markdown.
        described: What Dagster knows under names of its own, such as the columns.
    """
    outcome = built.outcome
    rewritten = any(written.rewritten for written in outcome.written)
    count = PARTITION_ROW_COUNT if partition else ROW_COUNT
    metadata: dict[str, dg.MetadataValue] = {
        count: dg.MetadataValue.int(outcome.n_rows),
        RESULT: dg.MetadataValue.text(result_of(built)),
        REJECTED: dg.MetadataValue.int(sum(outcome.rejected.values())),
        "seconds": dg.MetadataValue.float(account.seconds),
        "rewritten": dg.MetadataValue.bool(rewritten),
    }
    for reason, n in outcome.rejected.items():
        metadata[f"{REJECTED}/{reason}"] = dg.MetadataValue.int(n)
    for name, fact in outcome.facts.items():
        metadata[name] = _words(fact) if isinstance(fact, str) else _number(fact)
    for name, text in outcome.markdown.items():
        metadata[name] = dg.MetadataValue.md(redacted(text))
    if origin is not None:
        metadata["lineage"] = dg.MetadataValue.md(redacted(origin))
    # The UI shows them in this order: what a person looks for first, what Dagster reads last.
    metadata |= described
    for table, version in account.table_versions.items():
        metadata[f"delta_version/{table}"] = dg.MetadataValue.int(version)
    shown = {**vars(account), "decides": json.loads(account.decides)}
    metadata[BUILT] = dg.MetadataValue.json(shown)
    return dg.AssetMaterialization(
        key, partition=partition or None, metadata=metadata, tags=_tags(built, experiment)
    )


def _words(fact: str) -> dg.MetadataValue:
    return dg.MetadataValue.text(safe_text(fact))


def _number(value: float) -> dg.MetadataValue:
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    return dg.MetadataValue.float(value)


def _tags(built: Built, experiment: str) -> dict[str, str]:
    record = built.record
    tags = {
        DATA_VERSION: record.data_version,
        USER_PROVIDED: "true",
        CODE_VERSION: record.code_version,
        FINGERPRINT: record.fingerprint,
        EXPERIMENT: experiment,
        N_ROWS: str(record.n_rows),
    }
    for name, version in record.inputs.by_name.items():
        # Dagster's own staleness reads its tags, and takes every name there for an asset.
        tags[OUTSIDE_VERSION if name == OUTSIDE else f"{INPUT_VERSION}{name}"] = version
    return tags | {f"{INPUT_EVENT}{name}": str(i) for name, i in built.input_events.items()}


class Materialized:
    """One of our materialization events, read back."""

    def __init__(self, row: dg.EventLogRecord) -> None:
        event = row.asset_materialization
        assert event is not None  # noqa: S101 - the caller asks for materializations only
        self._event = event
        self.event_id = row.storage_id
        self.run_id = row.run_id
        self.built_at = datetime.fromtimestamp(row.timestamp, UTC)
        self.partition = event.partition or ""
        self.tags: Mapping[str, str] = event.tags or {}

    @property
    def is_ours(self) -> bool:
        """Whether the platform wrote it, and not a user's own report of a materialization."""
        return FINGERPRINT in self.tags and BUILT in self._event.metadata

    @property
    def data_version(self) -> str:
        """Hash of the content."""
        return self.tags[DATA_VERSION]

    @property
    def code_version(self) -> str:
        """Of the node, when it was built."""
        return self.tags[CODE_VERSION]

    @cached_property
    def account(self) -> Account:
        """How it came about."""
        value = self._event.metadata[BUILT].value
        assert isinstance(value, dict)  # noqa: S101 - we wrote it
        decides = json.dumps(value["decides"], sort_keys=True, separators=(",", ":"))
        return Account(**{**value, "decides": decides})

    @property
    def implementation(self) -> Implementation:
        """What the code version stood for."""
        return Implementation(self.account.implementation, self.account.decides)

    @property
    def inputs(self) -> dict[str, str]:
        """Version of each input, when it was read."""
        found = {
            name.removeprefix(INPUT_VERSION): version
            for name, version in self.tags.items()
            if name.startswith(INPUT_VERSION)
        }
        if OUTSIDE_VERSION in self.tags:
            found[OUTSIDE] = self.tags[OUTSIDE_VERSION]
        return found

    @property
    def input_events(self) -> dict[str, int]:
        """The newest event of each dependency that was read."""
        return {
            name.removeprefix(INPUT_EVENT): int(event)
            for name, event in self.tags.items()
            if name.startswith(INPUT_EVENT)
        }

    @property
    def record(self) -> Record:
        """The record of the partition."""
        account, inputs = self.account, Inputs.of(self.inputs)
        return Record(
            data_version=self.data_version,
            code_version=self.code_version,
            inputs=inputs,
            n_rows=int(self.tags.get(N_ROWS, 0)),
            event_id=self.event_id,
            seconds=account.seconds,
            n_bytes=account.n_bytes,
            gpu_seconds=account.gpu_seconds,
            built_at=self.built_at.timestamp(),
            rejected=tuple(sorted(account.rejected.items())),
            facets=Inputs.of(account.facets),
            read=inputs.with_facets(account.facets_read),
        )
