"""Receipts made up for tests: a small log in which assets are built."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.graph.versions import folded_version
from recap_assets.lineage.rows import Receipts, canonical

START = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """Events in order; `build` adds one that reads the newest events of its dependencies."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._newest: dict[str, dict[str, tuple[int, str]]] = {}

    def build(
        self,
        asset: str,
        partition: str = "",
        reads: Mapping[str, str] | None = None,
        version: str | None = None,
        **changes: Any,
    ) -> int:
        """Add an event; by default its data version is new."""
        event = len(self.rows) + 1
        reads = reads or {}
        pointers = {name: self._pointer(name, partition, how) for name, how in reads.items()}
        row: dict[str, Any] = {
            "asset": asset,
            "partition": partition,
            "instance": "i1",
            "event_id": event,
            "built_at": START + timedelta(seconds=event),
            "run_id": f"run{event}",
            "reused": False,
            "data_version": version or f"v{event}",
            "fingerprint": f"f{event}",
            "code_version": "code",
            "implementation": 1,
            "decides": {"spec": asset},
            "inputs": {k: self._version(k, partition, how) for k, how in reads.items()},
            "input_events": {k: v for k, v in pointers.items() if v is not None},
            "reads": reads,
            "table_versions": {asset.split("/", maxsplit=1)[0]: event},
            "n_rows": 10,
            "n_bytes": 100,
            "seconds": 1.0,
            "device": "cpu",
            "experiment": "e1",
            "provenance": {"recap.commit": "abc", "recap.polars": "2.1"},
            "rejected": {},
            "facts": {},
            "facets": {},
            "facets_read": {},
        }
        row["inputs"] |= changes.pop("inputs", {})
        self.rows.append(row | changes)
        self._newest.setdefault(asset, {})[partition] = (event, row["data_version"])
        return event

    def _version(self, asset: str, partition: str, how: str) -> str:
        newest = self._newest.get(asset, {})
        if how == "same":
            return newest[partition][1] if partition in newest else "missing"
        keys = sorted(newest)
        return folded_version(keys, [newest[key][1] for key in keys])

    def _pointer(self, asset: str, partition: str, how: str) -> int | None:
        newest = self._newest.get(asset, {})
        found = (
            newest.values() if how == "all" else [v for k, v in newest.items() if k == partition]
        )
        return max((event for event, _ in found), default=None)

    def frame(self) -> pl.DataFrame:
        """The rows as the table holds them."""
        return frame_of(self.rows)

    def receipts(self) -> Receipts:
        return Receipts.from_frame(self.frame())


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    flat = [
        [canonical(row[c]) if isinstance(row[c], dict) else row[c] for c in LINEAGE.columns]
        for row in rows
    ]
    return pl.DataFrame(flat, schema=LINEAGE.schema, orient="row")


def small_log(partitions: Sequence[str] = ("00000", "00001")) -> Log:
    """A pool, captions, scores, a threshold and a mix, built once."""
    log = Log()
    log.build("models/captioner", facts={"revision": "main"})
    for key in partitions:
        log.build("raw_pool", key, inputs={"outside": f"shards{key}"})
        log.build("synthetic_captions/a", key, {"raw_pool": "same", "models/captioner": "all"})
        reads = {"raw_pool": "same", "synthetic_captions/a": "same"}
        log.build("clip_scores/clip/a", key, reads)
    log.build("thresholds/m", "", {"clip_scores/clip/a": "all"}, facts={"rules.0.where.top": 0.28})
    for key in partitions:
        build_mix(log, key)
    return log


def build_mix(log: Log, partition: str, **changes: Any) -> int:
    reads = {"thresholds/m": "all", "synthetic_captions/a": "same", "clip_scores/clip/a": "same"}
    return log.build("curated_mixes/m", partition, reads, facts={"pairs/a": 10}, **changes)
