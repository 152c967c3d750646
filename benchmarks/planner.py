"""The planner on large pools: cold, cold with its file of records, and warm.

A graph of five captioners and ten mixes, and a Dagster instance on SQLite with a materialization of
every partition: copies of a real event of the platform's with the partition and the versions
replaced, written straight into the event log, since recording them by runs would take hours. Each
plan is made in a process of its own; `warm` is its second plan. There are no tables: looking for
content in them is measured apart, on a Delta table of as many slices as the scores would have.

    python benchmarks/planner.py [--partitions 2000 10000]
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from deltalake import Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from verdicts import machine, verdict

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.defs.events import account_of, materialization
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.building import Built
from recap_assets.graph.content import TablesLook
from recap_assets.graph.estimates import Estimates
from recap_assets.graph.node import Dependency, Dimension, Graph, Node, Outcome, Step
from recap_assets.graph.planner import plan
from recap_assets.graph.records import Record, RememberedRecords
from recap_assets.graph.versions import VersionReader
from recap_assets.storage.tables import TableStore

REPOSITORY = Path(__file__).parents[1]
TARGETS = {2_000: (1.0, 5.0), 10_000: (3.0, 20.0)}
"""Seconds of a warm plan and of a cold one, by partitions."""
MOST_MEGABYTES = 1_000
CAPTIONERS = [f"captioner_{i}" for i in range(5)]
MIXES = [f"mix_{i}" for i in range(10)]
BATCH = 5_000


def graph_of(n: int, edited: str = "") -> Graph:
    """The graph of an experiment with n pool partitions; `edited` is an asset with another spec."""
    keys = [f"{i:05d}" for i in range(n)]
    nodes: list[Node] = []

    def add(key: str, stage: str, dimension: Dimension, *reads: str) -> None:
        upstream = {node.key: node.dimension for node in nodes}
        nodes.append(
            Node(
                key=key,
                stage=stage,
                dimension=dimension,
                dependencies=tuple(
                    Dependency(read, "same" if upstream[read] == dimension else "all")
                    for read in reads
                ),
                implementation=1,
                decides=json.dumps({"asset": key, "edited": key == edited}),
                compute=_never,
                description="",
                outside=(lambda _key: "v1") if key == "raw_pool" else None,
            )
        )

    add("raw_pool", "pool", "pool")
    add("image_embeddings", "scores", "pool", "raw_pool")
    for source in ("raw", *CAPTIONERS):
        texts = "raw_pool" if source == "raw" else f"synthetic_captions/{source}"
        if source != "raw":
            add(texts, "captions", "pool", "raw_pool")
        add(f"clip_scores/{source}", "scores", "pool", texts, "image_embeddings")
        add(f"diversity_statistics/{source}", "diversity", "pool", texts)
    for i, mix in enumerate(MIXES):
        source = CAPTIONERS[i % len(CAPTIONERS)]
        add(f"thresholds/{mix}", "mixes", "none", "clip_scores/raw")
        add(
            f"curated_mixes/{mix}", "mixes", "pool", f"thresholds/{mix}", "raw_pool",
            "clip_scores/raw", f"synthetic_captions/{source}", f"clip_scores/{source}",
        )  # fmt: skip
        add(f"trained_clip/{mix}", "training", "seed", f"curated_mixes/{mix}")
    return Graph(nodes, lambda kind: keys if kind == "pool" else ("0", "1", "2"))


def _never(_step: Step) -> Outcome:
    raise AssertionError


def write_events(instance: dg.DagsterInstance, graph: Graph) -> int:
    """An event for every partition of every asset; how many."""
    n = 0
    written = Written()
    for node in graph.nodes.values():
        reader = VersionReader(graph, written)
        whole_of = reader.readings_of(node).whole
        partitions = graph.partitions(node)
        records = {
            key: Record(_version(node, key), node.code_version, whole_of(key), 1_000, seconds=3.0)
            for key in partitions
        }
        written.records[node.key] = records
        first, *between = partitions
        last = between.pop() if between else None
        _report(instance, node, first, records[first])
        _copy(instance, node, first, between, records)
        if last is not None:
            _report(instance, node, last, records[last])
        n += len(partitions)
    return n


class Written:
    """Records of what was written."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {}

    def latest(self, asset: str) -> dict[str, Record]:
        return self.records.get(asset, {})

    def implementation(self, asset: str, record: Record) -> None: ...

    def facts(self, asset: str, data_version: str) -> dict[str, float]:  # noqa: ARG002
        return {}


def _version(node: Node, partition: str) -> str:
    return hashlib.sha256(f"{node.key}[{partition}]".encode()).hexdigest()[:32]


def _report(instance: dg.DagsterInstance, node: Node, partition: str, record: Record) -> None:
    outcome = Outcome(record.data_version, record.n_rows)
    events = {dependency.asset: 1 for dependency in node.dependencies}
    built = Built(record, outcome, reused=False, input_events=events)
    key = dg.AssetKey(node.key.split("/"))
    account = account_of(node, built, None)
    instance.report_runless_asset_event(materialization(key, partition, built, account, "e" * 16))


def _copy(
    instance: dg.DagsterInstance,
    node: Node,
    first: str,
    partitions: list[str],
    records: dict[str, Record],
) -> None:
    table = SqlEventLogStorageTable
    key = dg.AssetKey(node.key.split("/")).to_string()
    storage = instance.event_log_storage
    with storage.index_connection() as connection:
        found = connection.execute(sqlalchemy.select(table).where(table.c.asset_key == key))
        template = [dict(row._mapping) for row in found][-1]  # noqa: SLF001 - SQLAlchemy's own way
        template.pop("id")
        rows = []
        for partition in partitions:
            event = template["event"].replace(f'"{first}"', f'"{partition}"')
            before, now = records[first], records[partition]
            changed = dict(zip(before.inputs.versions, now.inputs.versions, strict=True))
            changed |= {before.data_version: now.data_version, before.fingerprint: now.fingerprint}
            for old, new in changed.items():
                event = event.replace(f'"{old}"', f'"{new}"')
            rows.append({**template, "partition": partition, "event": event})
            if len(rows) == BATCH:
                connection.execute(sqlalchemy.insert(table), rows)
                rows = []
        if rows:
            connection.execute(sqlalchemy.insert(table), rows)


def measure(folder: Path, n: int) -> dict[str, float]:
    """One process's plans: the first one, a second one, one after an edit, with its cost."""
    started = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        stored = DagsterRecords(instance, folder)
        graph = graph_of(n)
        stored.look(graph.nodes)
        assert not plan(graph, RememberedRecords(stored))
        cold = time.monotonic() - started
        stored.save()
        started = time.monotonic()
        stored.look(graph.nodes)
        assert not plan(graph, RememberedRecords(stored))
        warm = time.monotonic() - started
        edited = graph_of(n, edited="synthetic_captions/captioner_1")
        started = time.monotonic()
        records = RememberedRecords(stored)
        current = plan(edited, records)
        cost = Estimates(edited, records).of_all((e.asset, e.partition) for e in current.to_build)
        after_edit = time.monotonic() - started
        # Captions, scores, diversity, and two mixes, whose CLIPs have three seeds each.
        assert len(current.entries) == 5 * n + 6, len(current.entries)
        assert round(cost.seconds) == 3 * len(current.entries)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"cold": cold, "warm": warm, "edit": after_edit, "megabytes": megabytes}


def look(n: int) -> float:
    """Seconds of listing the slices of a scores table with n partitions, not kept from before."""
    with tempfile.TemporaryDirectory() as root:
        statistics = json.dumps({"numRecords": 1_000})
        actions = []
        for source in ("raw", *CAPTIONERS):
            for i in range(n):
                values = {"scorer": "clip", "source": source, "partition": f"{i:05d}"}
                path = "/".join(f"{k}={v}" for k, v in values.items()) + "/part.parquet"
                actions.append(
                    AddAction(path, 10_000, values, 0, data_change=True, stats=statistics)
                )
        create_table_with_add_actions(
            f"{root}/{CLIP_SCORES.name}",
            Schema.from_arrow(CLIP_SCORES.empty().to_arrow().schema),
            actions,
            partition_by=list(CLIP_SCORES.slices),
        )
        started = time.monotonic()
        found = TablesLook(TableStore(root)).last_of(CLIP_SCORES, ("clip", "raw"))
        assert len(found) == n
        return time.monotonic() - started


def run(n: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            "DAGSTER_HOME": str(REPOSITORY),
            "RECAP_INSTANCE": scratch,
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        os.environ.update(environment)
        started = time.monotonic()
        with dg.DagsterInstance.get() as instance:
            events = write_events(instance, graph_of(n))
        print(f"\n{n:,} partitions: {events:,} events in {time.monotonic() - started:.0f} s")
        command = [sys.executable, __file__, "--measure", scratch, "--partitions", str(n)]
        for name in ("events", "file"):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            result = json.loads(done.stdout.splitlines()[-1])
            print(
                f"  first plan of a process, from {name}: {result['cold']:.2f} s; again: "
                f"{result['warm']:.2f} s; after an edit of one captioner, with its cost: "
                f"{result['edit']:.2f} s; {result['megabytes']:.0f} MB"
            )
        print(f"  listing the slices of the scores' table, when it has changed: {look(n):.2f} s")
        warm, cold = TARGETS.get(n, (n / 3_000, n / 500))
        verdict(f"planner, {n:,} partitions: warm plan against its limit", warm / result["warm"], 1)
        verdict(f"planner, {n:,} partitions: cold plan against its limit", cold / result["cold"], 1)
        room = MOST_MEGABYTES / result["megabytes"]
        verdict(f"planner, {n:,} partitions: 1 GB against its memory", room, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=list(TARGETS))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.partitions[0])))
        return
    print(machine())
    for n in args.partitions:
        run(n)


if __name__ == "__main__":
    main()
