"""Which pool partitions a changed import concerns: those that have a key whose rows changed."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from recap_assets.artefacts.captions import IMPORTED_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.captions.kinds.imported.spec import JoinKey
from recap_assets.captions.kinds.imported.waves import keys_of
from recap_assets.graph.node import Step, facet_of
from recap_assets.graph.project import Project
from recap_assets.storage.content import VERSION_DIGITS, slice_version

MOST_KEYS = 10_000_000
"""Changed keys that are searched for in the pool; with more all partitions count as changed."""

MOST_PARTITIONS = 4_096
"""Partitions of which each has a version of its own: they are in one event."""


@dataclass
class Changes:
    """What writing an import's buckets changed.

    Attributes:
        versions: Of each bucket as it was before.
        found: Keys with other rows than before, by bucket.
    """

    versions: dict[str, str] = field(default_factory=dict[str, str])
    found: list[pl.Series] = field(default_factory=list[pl.Series])

    def add(
        self, bucket: str, version: str | None, held: pl.DataFrame | None, rows: pl.DataFrame
    ) -> None:
        """Compare a bucket with what it held.

        Args:
            bucket: Its name.
            version: Of what it held; None where there was no such bucket.
            held: That.
            rows: What it holds from now on.
        """
        if version is None or held is None:
            return
        self.versions[bucket] = version
        columns = [name for name in IMPORTED_CAPTIONS.content if name in rows.columns]
        before, now = held.select(columns), rows.select(columns)
        for one, other in ((before, now), (now, before)):
            differing = one.join(other, on=columns, how="anti", nulls_equal=True)
            self.found.append(differing["key"].unique())

    @property
    def version(self) -> str:
        """Of the import as it was before."""
        return buckets_version(sorted(self.versions.items()))

    @property
    def keys(self) -> pl.Series | None:
        """The keys whose rows changed; None where there are too many."""
        if sum(map(len, self.found)) > MOST_KEYS:
            return None
        return pl.concat(self.found).unique() if self.found else pl.Series("key", [], pl.Binary)


def buckets_version(buckets: Iterable[tuple[str, str]]) -> str:
    """One hash for the data versions of all buckets, which come in ascending order."""
    lines = "\n".join(f"{bucket} {version}" for bucket, version in buckets)
    return hashlib.sha256(lines.encode()).hexdigest()[:VERSION_DIGITS]


def unchanged_partitions(
    project: Project, by: JoinKey, changed: pl.Series | None, version: str, step: Step
) -> Mapping[str, str]:
    """The version that the import has for each partition of the pool as it is now.

    That of the import before where no key of the partition has other rows than then. A partition
    that is not named, or is another one by then, reads the import as a whole.

    Args:
        project: Whose pool it is.
        by: What keys are.
        changed: The keys with other rows; None where that is not known.
        version: Of the import from now on.
        step: With the versions before.
    """
    if changed is None or step.known_version is None or len(project.partitions) > MOST_PARTITIONS:
        return {}
    found: dict[str, str] = {}
    for partition in project.partitions:
        if not project.workspace.tables.has(RAW_POOL, {"partition": partition}):
            continue
        rows = project.workspace.tables.read(RAW_POOL, None, partition=partition)
        facet = facet_of(partition, slice_version(RAW_POOL, rows))
        keys = keys_of(rows.lazy().filter(is_usable()), by)["key"]
        is_hit = bool(keys.is_in(changed.implode()).any())
        before = step.known_facets.get(facet, step.known_version)
        found[facet] = version if is_hit else before
    return found
