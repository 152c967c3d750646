"""Third-party captions: read once from their files, joined to each pool partition, and accounted.

Three assets for each import. `imported_captions/X` holds the files' rows by key, whatever the pool
has; a file that changed is read again, and what comes out equal rebuilds nothing.
`synthetic_captions/X` joins them to a partition's images. `import_reports/X` says how drop and
pool fit together as a whole: what neither a partition nor the files can know.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import (
    IMPORT_REPORTS,
    IMPORTED_CAPTIONS,
    OF_FILES,
    OF_POOL,
    SYNTHETIC_CAPTIONS,
)
from recap_assets.artefacts.facets import ASIDE_SAMPLES, SAMPLES, TEXTS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import count_rejects, is_usable
from recap_assets.captions import assets as captions
from recap_assets.captions.kinds.imported.buckets import (
    WHOLE,
    Buckets,
    Count,
    Counts,
    counts_frame,
    digits_needed,
    examples_of,
)
from recap_assets.captions.kinds.imported.changes import (
    Changes,
    buckets_version,
    unchanged_partitions,
)
from recap_assets.captions.kinds.imported.files import (
    caption_files_version,
    list_caption_files,
    read_captions,
)
from recap_assets.captions.kinds.imported.join import join_captions
from recap_assets.captions.kinds.imported.spec import ImportSpec
from recap_assets.captions.kinds.imported.waves import (
    buckets_of,
    by_bucket,
    found_rows,
    key_waves,
)
from recap_assets.graph.content import StoredRows, held_rows
from recap_assets.graph.node import Dependency, Look, Node, Outcome, Place, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.storage.content import slice_version
from recap_assets.storage.refused import Refused, Sort
from recap_assets.storage.tables import TableStore, Written

VERSION = 2
STAGE = captions.STAGE
SECONDS = 5.0
SECONDS_PER_PARTITION = 1.0
_REJECTED = {
    "damaged_row": "damaged_rows",
    "malformed_key": "malformed_keys",
    "undecodable_text": "undecodable_texts",
}


_COLUMNS = ("key", "caption", "expected_text", "quoting")
"""Fields that decide what is read of the files, and by that alone what is joined."""


def nodes_of(project: Project, name: str, spec: ImportSpec) -> list[Node]:
    """The assets of an import: its rows, its captions, its report."""
    return [
        _files_node(project, name, spec),
        _captions_node(project, name, spec),
        _report_node(project, name, spec),
    ]


@dataclass(frozen=True)
class StoredBuckets:
    """Content in all the buckets of an import; their number depends on its size."""

    tables: TableStore
    source: str

    def present(self, look: Look) -> Collection[str]:
        """The one partition, where any bucket has rows and all of them their files."""
        at = (IMPORTED_CAPTIONS, (self.source,))
        is_lost = look.lost_of(*at) or OF_FILES in look.lost_of(IMPORT_REPORTS, (self.source,))
        return {""} if look.last_of(*at) and not is_lost else frozenset[str]()

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002 - of the protocol
        """Every bucket there is, and the report on the files."""
        slices = self.tables.slices(IMPORTED_CAPTIONS)
        found = sorted(one["bucket"] for one in slices if one["source"] == self.source)
        buckets = [{"source": self.source, "bucket": bucket} for bucket in found or [WHOLE]]
        report = Place(IMPORT_REPORTS, {"source": self.source, "partition": OF_FILES})
        return (*(Place(IMPORTED_CAPTIONS, at) for at in buckets), report)

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of the buckets' rows, read one at a time."""
        version = table_versions.get(IMPORTED_CAPTIONS.name)
        rows = self.tables.scan(IMPORTED_CAPTIONS, version, source=self.source)
        buckets = rows.select("bucket").unique().collect(engine="streaming")["bucket"].sort()
        return buckets_version(
            (bucket, slice_version(IMPORTED_CAPTIONS, self._bucket(version, bucket)))
            for bucket in buckets
        )

    def _bucket(self, version: int | None, bucket: str) -> pl.DataFrame:
        return self.tables.read(IMPORTED_CAPTIONS, version, source=self.source, bucket=bucket)


def _files_node(project: Project, name: str, spec: ImportSpec) -> Node:
    columns = {field: getattr(spec, field) for field in ("by", *_COLUMNS)}
    return Node(
        key=IMPORTED_CAPTIONS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(columns=columns),
        compute=lambda step: import_files(project, name, spec, step),
        description=f"The rows of the files that {name} imports, by {spec.by}; whether the pool "
        f"has them is in {IMPORT_REPORTS.key(name)}.",
        outside=lambda _partition: caption_files_version(list_caption_files(spec)),
        content=StoredBuckets(project.workspace.tables, name),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


_MARKED_AS: Mapping[str, Sort] = {"uid": "uid", "sha256": "sha256", "url": "url_key"}


def _without_refused(rows: pl.DataFrame, spec: ImportSpec, refused: Refused) -> pl.DataFrame:
    """The rows of a file but for those of forgotten samples."""
    if not refused:
        return rows
    sort = _MARKED_AS[spec.by]
    kept = [not refused.refuses(sort, key) for key in rows["key"]]
    return rows.filter(pl.Series(kept, dtype=pl.Boolean))


def import_files(project: Project, name: str, spec: ImportSpec, step: Step) -> Outcome:
    """Read all files once and keep their rows by key."""
    files = list_caption_files(spec)
    n_bytes = sum(file.size for file in files)
    scratch = project.workspace.scratch / "import_buckets" / name
    buckets = Buckets(scratch, digits_needed(files))
    refused = project.workspace.refused
    done = 0
    for file in files:
        for rows in read_captions(file, spec):
            buckets.add(_without_refused(rows, spec, refused))
        done += file.size
        step.progress(0.7 * done / max(n_bytes, 1))
    stored = _write_buckets(project, name, buckets, step)
    buckets.close()
    counts = {"files": Count(len(files)), **buckets.counts}
    report = project.workspace.tables.replace(
        IMPORT_REPORTS,
        {"source": name, "partition": OF_FILES},
        counts_frame(counts),
        commit=step.commit,
    )
    return Outcome(
        stored.data_version,
        stored.n_rows,
        {reason: n for reason, what in _REJECTED.items() if (n := counts[what].n)},
        facts=_facts(counts),
        markdown={"report": preview_markdown(_shown(counts), rows=20)},
        written=(*stored.written, report),
        facets=unchanged_partitions(project, spec.by, stored.changed, stored.data_version, step),
    )


@dataclass(frozen=True)
class _Stored:
    data_version: str
    n_rows: int
    written: tuple[Written, ...]
    changed: pl.Series | None


def _write_buckets(project: Project, name: str, buckets: Buckets, step: Step) -> _Stored:
    tables = project.workspace.tables
    before = buckets_of(project, name)
    n_rows, changes = 0, Changes()
    settled: dict[str, Written] = {}
    for bucket, rows in buckets.settled():
        settled[bucket] = _write_bucket(tables, name, bucket, rows, step, changes)
        n_rows += rows.height
    # Replaced by nothing rather than removed, and last: the version of the table at which all of
    # this can be read is that of the last commit.
    nothing = IMPORTED_CAPTIONS.empty().drop("source", "bucket")
    emptied = [
        _write_bucket(tables, name, bucket, nothing, step, changes)
        for bucket in before
        if bucket not in settled
    ]
    version = buckets_version((b, w.data_version) for b, w in sorted(settled.items()))
    was_recorded = not emptied and changes.version == step.known_version
    changed = changes.keys if was_recorded else None
    return _Stored(version, n_rows, (*settled.values(), *emptied), changed)


def _write_bucket(
    tables: TableStore,
    name: str,
    bucket: str,
    rows: pl.DataFrame,
    step: Step,
    changes: Changes,
) -> Written:
    at = {"source": name, "bucket": bucket}
    held = held_rows(tables, Place(IMPORTED_CAPTIONS, at))
    known = None if held is None else slice_version(IMPORTED_CAPTIONS, held)
    changes.add(bucket, known, held, rows)
    return tables.replace(IMPORTED_CAPTIONS, at, rows, known_version=known, commit=step.commit)


def _facts(counts: Counts) -> dict[str, str | int | float]:
    return {what: count.n for what, count in counts.items()}


def _shown(counts: Counts) -> pl.DataFrame:
    """The counts with one example each, as a preview shows them."""
    rows = []
    for what, count in counts.items():
        first = count.examples[0] if count.examples else None
        examples = [str(value) for value in (first or {}).values() if value is not None]
        rows.append((what, count.n, " / ".join(examples)))
    return pl.DataFrame(rows, schema=["what", "n", "such_as"], orient="row")


def _captions_node(project: Project, name: str, spec: ImportSpec) -> Node:
    rules = spec.decides(*_COLUMNS)
    return Node(
        key=SYNTHETIC_CAPTIONS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(
            Dependency(RAW_POOL.key(), "same", _facets_read(spec)),
            Dependency(IMPORTED_CAPTIONS.key(name), "all", by=RAW_POOL.key()),
        ),
        implementation=VERSION,
        decides=deciding(join=rules, **_left_out(spec)),
        compute=lambda step: join_partition(project, name, spec, step),
        description=f"Third-party captions of {name}, joined by {spec.by}; an image without any "
        "has a row that says why.",
        content=captions.captions_content(project, name, IMPORT_REPORTS),
        seconds=SECONDS_PER_PARTITION,
        kinds=("polars", "deltalake"),
        checks=(captions.captions_not_empty(project, name),),
    )


def _left_out(spec: ImportSpec) -> Mapping[str, object]:
    """What examples lack: an import that compares no texts shows none, and so depends on none."""
    return {} if spec.expected_text else {"without": ["raw_text"]}


def _facets_read(spec: ImportSpec) -> tuple[str, ...]:
    """The facets of the pool that say which images have which key, and their texts if compared."""
    # Urls, and hashes of images as they were downloaded, are in no facet.
    if spec.by != "uid":
        return ()
    return (TEXTS,) if spec.expected_text else (SAMPLES,)


def join_partition(project: Project, name: str, spec: ImportSpec, step: Step) -> Rows:
    """Join the imported captions to the images of one pool partition."""
    text = pl.col("text") if spec.expected_text else pl.lit(None, pl.String)
    images = (
        project.workspace.tables.scan(RAW_POOL, partition=step.partition)
        .filter(is_usable())
        .select("shard", "uid", text=text)
        .collect()
    )
    found = found_rows(project, name, spec.by, step.partition)
    rows, counts = join_captions(images, found, spec)
    return Rows(
        rows,
        (counts_frame(counts),),
        rejected=count_rejects(rows),
        facts={"matched_share": _share(counts), **_facts(counts)},
        markdown={
            "report": preview_markdown(_shown(counts), rows=20),
            "preview": preview_markdown(rows.filter(is_usable()).select("uid", "text")),
        },
    )


def _share(counts: Counts) -> float:
    return round(counts["matched"].n / max(counts["images"].n, 1), 4)


def _report_node(project: Project, name: str, spec: ImportSpec) -> Node:
    at = {"source": name, "partition": OF_POOL}
    facets = _facets_read(spec)
    return Node(
        key=IMPORT_REPORTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(
            Dependency(IMPORTED_CAPTIONS.key(name), "all"),
            Dependency(SYNTHETIC_CAPTIONS.key(name), "all"),
            Dependency(RAW_POOL.key(), "all", (*facets, ASIDE_SAMPLES) if facets else ()),
        ),
        implementation=VERSION,
        decides=deciding(by=spec.by, **_left_out(spec)),
        compute=lambda step: report_import(project, name, spec, step),
        description=f"How the files of {name} and the whole pool fit together: matched, missing "
        "and orphaned keys, conflicts, captions on the wrong image.",
        content=StoredRows(project.workspace.tables, IMPORT_REPORTS, at),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def report_import(project: Project, name: str, spec: ImportSpec, step: Step) -> Rows:
    """Add up the partitions' reports, and look for the keys that the pool does not have."""
    counts = _added_up(project, name)
    counts |= _orphans(project, name, spec, step)
    return Rows(
        counts_frame(counts),
        facts={"matched_share": _share(counts), **_facts(counts)},
        markdown={"report": preview_markdown(_shown(counts), rows=20)},
    )


def _added_up(project: Project, name: str) -> Counts:
    rows = project.workspace.tables.read(IMPORT_REPORTS, source=name)
    of_pool = rows.filter(pl.col("partition").is_in(list(project.partitions)))
    counts: Counts = {}
    for row in of_pool.sort("partition").iter_rows(named=True):
        counts.setdefault(row["what"], Count()).add(row["n"], row["examples"])
    return {what: counts.get(what, Count()) for what in sorted({"images", "matched", *counts})}


def _orphans(project: Project, name: str, spec: ImportSpec, step: Step) -> Counts:
    """Keys of the files that no usable sample has: of rejected samples, and of none at all."""
    counts: Counts = {what: Count() for what in ("orphaned_keys", "keys_of_rejected_samples")}
    buckets = buckets_of(project, name)
    is_usable, is_rejected = (_marked(project, name, spec, usable=u) for u in (True, False))
    for i, bucket in enumerate(buckets):
        keys = _first_rows(project, name, bucket).collect()
        orphans = keys.filter(pl.Series(~is_usable[bucket] & ~is_rejected[bucket]))
        shown = examples_of(
            orphans,
            key=pl.col("key").bin.encode("hex"),
            caption="text",
            expected_text="expected_text",
        )
        counts["orphaned_keys"].add(orphans.height, shown)
        rejected = is_rejected[bucket] & ~is_usable[bucket]
        counts["keys_of_rejected_samples"].add(int(rejected.sum()))
        step.progress((i + 1) / len(buckets))
    return counts


def _marked(
    project: Project, name: str, spec: ImportSpec, *, usable: bool
) -> Mapping[str, NDArray[np.bool_]]:
    """For each bucket and key of it whether a sample of the pool has the key."""
    buckets = buckets_of(project, name)
    marks: dict[str, NDArray[np.bool_]] = {}
    for wave in key_waves(project, spec.by, project.partitions, usable=usable):
        parts = by_bucket(pl.concat(wave.values()).select("key"), buckets) if buckets else {}
        for bucket, part in parts.items():
            keys = _first_rows(project, name, bucket).select("key").collect()["key"]
            found = keys.is_in(part["key"].unique().implode()).to_numpy()
            marks[bucket] = found | marks.get(bucket, np.zeros(len(found), np.bool_))
    return marks


def _first_rows(project: Project, name: str, bucket: str) -> pl.LazyFrame:
    """A row for each key of a bucket, by key."""
    rows = project.workspace.tables.scan(IMPORTED_CAPTIONS, source=name, bucket=bucket)
    return rows.filter(pl.col("number") == 0).sort("key")
