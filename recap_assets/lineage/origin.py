"""What an asset came from: its ancestors, the states they were built in, and both as plain JSON."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.lineage.rows import JSON_COLUMNS, SHARED, LineageError, Reach, Receipt, canonical

VERSION_DIGITS = 16


@dataclass(frozen=True)
class State:
    """Partitions of one asset that were built alike: same specs, code, libraries and device.

    Attributes:
        newest: The receipt of the last of them; what they share is in it.
        rows: All their receipts.
    """

    newest: Receipt
    rows: pl.DataFrame

    @property
    def partitions(self) -> tuple[str, ...]:
        """Their keys; one empty key for an asset without partitions."""
        return tuple(self.rows["partition"].unique().sort())

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Dagster runs that computed them, the first one first."""
        return tuple(self.rows.sort("order")["run_id"].unique(maintain_order=True))

    @cached_property
    def table_versions(self) -> Mapping[str, tuple[int, ...]]:
        """Delta versions at which their slices can be read, by table, ascending."""
        found: dict[str, set[int]] = {}
        for text in self.rows["table_versions"].unique():
            for table, version in json.loads(text).items():
                found.setdefault(table, set()).add(version)
        return {table: tuple(sorted(found[table])) for table in sorted(found)}

    @cached_property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        """Distinct versions of each input, as they were read."""
        found: dict[str, dict[str, None]] = {}
        for text in self.rows["inputs"].unique(maintain_order=True):
            for name, version in json.loads(text).items():
                found.setdefault(name, {})[version] = None
        return {name: tuple(versions) for name, versions in sorted(found.items())}

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """What the materializations reported: sums of counts, ranges of figures, distinct words."""
        values: dict[str, list[str | int | float]] = {}
        for text in self.rows["facts"]:
            for name, value in json.loads(text).items():
                values.setdefault(name, []).append(value)
        return {name: _summary(found) for name, found in values.items()}


def _summary(values: Sequence[str | int | float]) -> str:
    if all(isinstance(value, int) for value in values):
        return f"{sum(int(value) for value in values):,}"
    if all(isinstance(value, int | float) for value in values):
        low, high = min(map(float, values)), max(map(float, values))
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    distinct = list(dict.fromkeys(str(value) for value in values))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more


@dataclass(frozen=True)
class Ancestor:
    """One asset of an origin, with the receipts of it that were read.

    Attributes:
        asset: Its key.
        rows: The receipts, by partition and event.
        reads: What these partitions read, and how much of it.
        uncertain: Dependencies of which the receipts found are not for sure those that were read:
            partitions had left the pool, or receipts are missing.
    """

    asset: str
    rows: pl.DataFrame
    reads: Mapping[str, Reach]
    uncertain: frozenset[str] = frozenset()

    @cached_property
    def version(self) -> str:
        """One version for all its partitions; see `combined_version`."""
        return combined_version(self.rows)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The distinct states, the one with most partitions first."""
        groups = self.rows.partition_by(SHARED, maintain_order=True)
        states = [
            State(Receipt.parse(rows.sort("order").row(-1, named=True)), rows) for rows in groups
        ]
        return tuple(sorted(states, key=lambda state: (-state.rows.height, state.newest.event_id)))


@dataclass(frozen=True)
class Origin:
    """An asset and all that it came from.

    Attributes:
        asset: The asset asked for.
        ancestors: It and everything upstream, by key; readers come before what they read.
    """

    asset: str
    ancestors: Mapping[str, Ancestor]

    @property
    def root(self) -> Ancestor:
        """The asset asked for."""
        return self.ancestors[self.asset]

    @property
    def data_versions(self) -> Mapping[str, Mapping[str, str]]:
        """Data version of every asset and partition of the tree; the last one that was read."""
        return {
            name: dict(ancestor.rows.select("partition", "data_version").iter_rows())
            for name, ancestor in self.ancestors.items()
        }

    @property
    def table_versions(self) -> Mapping[str, tuple[int, ...]]:
        """All Delta versions that the tree can be read at, by table."""
        found: dict[str, set[int]] = {}
        for ancestor in self.ancestors.values():
            for text in ancestor.rows["table_versions"].unique():
                for table, version in json.loads(text).items():
                    found.setdefault(table, set()).add(version)
        return {table: tuple(sorted(found[table])) for table in sorted(found)}

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain JSON values; `rows_of` reads it back."""
        return {
            "asset": self.asset,
            "version": self.root.version,
            "ancestors": [_ancestor_json(ancestor) for ancestor in self.ancestors.values()],
        }


def _ancestor_json(ancestor: Ancestor) -> dict[str, Any]:
    return {
        "asset": ancestor.asset,
        "version": ancestor.version,
        "reads": dict(ancestor.reads),
        "uncertain": sorted(ancestor.uncertain),
        "states": [_state_json(state) for state in ancestor.states],
    }


def _state_json(state: State) -> dict[str, Any]:
    own = [name for name in LINEAGE.columns if name not in SHARED and name != "asset"]
    rows = state.rows.select(own).with_columns(pl.col("built_at").dt.to_string("iso:strict"))
    partitions = rows.to_dicts()
    for row in partitions:
        row |= {name: json.loads(row[name]) for name in JSON_COLUMNS if name in row}
    return {
        "code_version": state.newest.code_version,
        "implementation": state.newest.implementation,
        "decides": json.loads(state.newest.decides),
        "provenance": dict(state.newest.provenance),
        "device": state.newest.device,
        "reads": dict(state.newest.reads),
        "partitions": partitions,
    }


def rows_of(content: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of LINEAGE from what `Origin.as_json` gave.

    Raises:
        LineageError: The content is of another form.
    """
    try:
        rows = [
            row
            for ancestor in content["ancestors"]
            for state in ancestor["states"]
            for row in _rows_of_state(ancestor["asset"], state)
        ]
        return pl.DataFrame(rows, schema=LINEAGE.schema, orient="row")
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        msg = f"this is no lineage as `recap lineage --json` and `recap pin` write it: {error!r}"
        raise LineageError(msg) from error


def _rows_of_state(asset: str, state: Mapping[str, Any]) -> Iterator[list[Any]]:
    later = {name: json.loads(str(text)) for name, text in LINEAGE.defaults.items()}
    shared = later | {name: state[name] for name in SHARED} | {"asset": asset}
    for partition in state["partitions"]:
        values = {**shared, **partition, "built_at": datetime.fromisoformat(partition["built_at"])}
        values |= {name: canonical(values[name]) for name in (*JSON_COLUMNS, "decides")}
        yield [values[name] for name in LINEAGE.columns]


def combined_version(rows: pl.DataFrame) -> str:
    """A short hash over (partition, data version), to cite: 16 hex digits."""
    digest = hashlib.sha256()
    pairs = rows.select("partition", "data_version").unique().sort("partition", "data_version")
    for partition, version in pairs.iter_rows():
        digest.update(f"{partition}={version}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]
