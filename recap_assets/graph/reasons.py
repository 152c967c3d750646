"""Why a partition is out of date, naming what was edited."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache

from recap_assets.graph.node import Graph, Node
from recap_assets.graph.records import OUTSIDE, Record, Records
from recap_assets.graph.versions import VersionReader, n_folded

CHANGES_SHOWN = 4
TEXT_SHOWN = 60


class Reasons:
    """Says why partitions are out of date."""

    def __init__(self, graph: Graph, records: Records, reader: VersionReader) -> None:
        self._graph = graph
        self._records = records
        self._reader = reader

    def of(self, node: Node, partition: str, record: Record) -> str:
        """What changed since the partition was built: its spec, its code, what it reads."""
        reasons = []
        if not self._reader.has_code(node, record):
            reasons.append(self._own_change(node, record))
        reasons += self._input_changes(node, partition, record)
        return "; ".join(reasons) or "recorded by another version of the planner"

    def _own_change(self, node: Node, record: Record) -> str:
        then = self._records.implementation(node.key, record)
        if then is None:
            return "its spec or code changed"
        changes = _changes(then.decides, node.decides)
        if then.version != node.implementation:
            code = f"code of {node.stage} {then.version} → {node.implementation}"
            changes = (code, *changes)
        return ", ".join(changes) or "its spec or code changed"

    def _input_changes(self, node: Node, partition: str, record: Record) -> Iterator[str]:
        before = record.inputs.by_name
        reading = self._reader.reading(node, partition)
        after = reading.whole.by_name
        facets = {dep.asset: " and ".join(dep.facets) for dep in node.dependencies}
        for name in reading.differs(record):
            if name not in before:
                yield f"reads {name}, new"
            elif name not in after:
                yield f"reads {name} no more"
            else:
                versions = before[name], after[name]
                yield self._input_change(name, *versions, facets.get(name, ""), record.event_id)

    def _input_change(self, name: str, before: str, after: str, facets: str, since: int) -> str:
        if name == OUTSIDE:
            return "what it reads from outside changed"
        n_before, n_after = n_folded(before), n_folded(after)
        if n_before is None or n_after is None:
            if facets:
                return f"{name}: {facets} changed"
            then, now = (self._records.facts(name, version) for version in (before, after))
            return f"{name}: {moved}" if (moved := _moved(then, now)) else f"{name} changed"
        if n_before != n_after:
            kind = "new" if n_after > n_before else "fewer"
            return f"{name}: {abs(n_after - n_before):,} {kind} partitions"
        latest = self._reader.latest(name)
        keys = self._graph.partitions(self._graph.nodes[name])
        newer = sum(latest[key].event_id > since for key in keys)
        # A partition's newer record says that something of it changed, not which facet did.
        of = f"{facets} of {'up to ' if newer > 1 else ''}" if facets else ""
        return f"{name}: {of}{newer:,} of {n_after:,} partitions changed"


@lru_cache(maxsize=256)
def _changes(then: str, now: str) -> tuple[str, ...]:
    found = list(differences(json.loads(then), json.loads(now)))
    more = len(found) - CHANGES_SHOWN
    return tuple(found[:CHANGES_SHOWN]) + ((f"{more} more changes",) if more > 0 else ())


def differences(then: object, now: object, path: str = "") -> Iterator[str]:
    """Each leaf that differs between two JSON values, as `path before → after`."""
    if then == now:
        return
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(then.get(key), now.get(key), inner)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from differences(before, after, f"{path}.{i}")
    else:
        yield f"{path} {_shown(then)} → {_shown(now)}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"


def _moved(then: Mapping[str, str | float], now: Mapping[str, str | float]) -> str:
    """Facts that differ, such as realised thresholds, as `name before → after`."""
    both = [key for key in now if key in then and then[key] != now[key]]
    return ", ".join(f"{key} {then[key]} → {now[key]}" for key in both[:CHANGES_SHOWN])
