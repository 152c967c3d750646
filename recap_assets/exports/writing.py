"""Writing an export: a folder for each pool partition, or all in one folder at once."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, cast

import numpy as np
import polars as pl

from recap_assets.artefacts.uids import SUBSET_DTYPE, subset_array, write_merged
from recap_assets.exports.forms import Form, form_of
from recap_assets.exports.kinds.webdataset.resharded import (
    META,
    SAMPLE_IDS,
    SIZES,
    meta_json,
    sizes_json,
)
from recap_assets.exports.reading import encoded_images, pairs_of, rows_of, version_of
from recap_assets.exports.rows import ExportRows, cuts
from recap_assets.exports.shards import ShardRecord, joined, write_shard, written_samples
from recap_assets.graph.project import Setting
from recap_assets.specs.exports import ShardedExport, WebDatasetExport, weights_vary
from recap_assets.storage.folders import Folder, HashedFile, WrittenFile
from recap_assets.untrusted.errors import RecapError

Progress = Callable[[int], None]
"""Told of how many more samples are done."""

MAX_DIGITS = 8


class ExportError(RecapError, ValueError):
    """An export cannot be written as asked; the text says why and what to do."""


@dataclass
class Written:
    """What was written of an export so far.

    Attributes:
        shards: Its shards, in the order of their paths.
        files: Its files with their hashes, by path.
        left_out: Pairs of the mix that are not in it, by reason.
        versions: Data version of the mix's pairs, by pool partition.
        uids: Uids by source, where only uids are written.
    """

    shards: list[ShardRecord] = field(default_factory=list)
    files: dict[str, WrittenFile] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    versions: dict[str, str] = field(default_factory=dict)
    uids: dict[str, int] = field(default_factory=dict)

    def add(self, record: ShardRecord, files: Sequence[WrittenFile]) -> None:
        """Add a shard with its files."""
        self.shards.append(record)
        self.left_out.update(record.left_out.values())
        self.add_files(*files)

    def add_files(self, *files: WrittenFile) -> None:
        """Add files."""
        self.files.update({file.name: file for file in files})

    def merge(self, other: "Written") -> None:
        """Add all that another one has."""
        self.shards += other.shards
        self.files.update(other.files)
        self.left_out.update(other.left_out)
        self.versions.update(other.versions)

    @property
    def n_pairs(self) -> int:
        """Pairs that were written."""
        return sum(record.pairs for record in self.shards)

    @property
    def n_samples(self) -> int:
        """Samples that were written."""
        return sum(record.successes for record in self.shards)

    @property
    def by_source(self) -> Mapping[str, int]:
        """Samples by the source of their text."""
        counts: Counter[str] = Counter()
        for record in self.shards:
            counts.update(record.sources)
        return dict(sorted(counts.items()))

    def as_json(self) -> bytes:
        """All of it, for `read_written`."""
        content = {
            "shards": [json.loads(record.as_json()) for record in self.shards],
            "files": [vars(file) for _, file in sorted(self.files.items())],
            "left_out": dict(sorted(self.left_out.items())),
            "versions": self.versions,
        }
        return json.dumps(content, sort_keys=True).encode()


def read_written(content: bytes) -> Written:
    """What `Written.as_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: Something else.
    """
    values = json.loads(content)
    return Written(
        [ShardRecord.of(row) for row in values["shards"]],
        {row["name"]: WrittenFile(**row) for row in values["files"]},
        Counter(values["left_out"]),
        values["versions"],
    )


def write_partition(
    setting: Setting, export: ShardedExport, folder: Folder, partition: str, progress: Progress
) -> Written:
    """Write the shards of one pool partition into folders of its own, numbered from 0."""
    writer = _Writer(setting, export, folder, progress)
    pairs = pairs_of(setting, export.mix, partition)
    rows = rows_of(setting, export, partition, pairs)
    writer.count(partition, pairs, rows)
    for below, samples in writer.groups(rows):
        run = _Run(joined(below, partition), 0)
        for start, end in cuts(samples.height, export.samples_per_shard):
            writer.write(run, samples[start:end])
        writer.finish(run)
    return writer.written


def write_whole(
    setting: Setting, export: ShardedExport, folder: Folder, progress: Progress
) -> Written:
    """Write all shards into one folder, numbered through; each is full but for the last.

    Memory: the rows of one pool partition and of one shard of each weight, and the bytes of a few
    hundred images.
    """
    writer = _Writer(setting, export, folder, progress)
    runs: dict[str, _Run] = {}
    for partition in setting.partitions:
        pairs = pairs_of(setting, export.mix, partition)
        rows = rows_of(setting, export, partition, pairs)
        writer.count(partition, pairs, rows)
        for below, samples in writer.groups(rows):
            run = runs.setdefault(below, _Run(below, 0))
            run.waiting = samples if run.waiting is None else pl.concat([run.waiting, samples])
            while run.waiting.height >= export.samples_per_shard:
                writer.write(run, run.waiting[: export.samples_per_shard])
                run.waiting = run.waiting[export.samples_per_shard :]
    for _, run in sorted(runs.items()):
        if run.waiting is not None and run.waiting.height:
            writer.write(run, run.waiting)
        writer.finish(run)
    writer.written.shards.sort(key=lambda record: record.shard)
    return writer.written


class UidSpool:
    """Uids on their way into one sorted file, kept on disk meanwhile: 16 bytes each."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="recap-uids-")  # noqa: SIM115 - closed with it
        self._ends = [0]

    def __len__(self) -> int:
        return self._ends[-1]

    def add(self, uids: pl.Series) -> None:
        """Add uids; one that comes several times stays so."""
        self._file.write(subset_array(uids).tobytes())
        self._ends.append(self._ends[-1] + len(uids))

    def write(self, file: HashedFile) -> None:
        """Write all of them as DataComp's subset file."""
        self._file.flush()
        array = np.memmap(self._file, SUBSET_DTYPE, "r") if len(self) else np.empty(0, SUBSET_DTYPE)
        parts = [array[a:b] for a, b in zip(self._ends, self._ends[1:], strict=False)]
        write_merged(cast("IO[bytes]", file), parts)
        del array, parts
        self._file.close()


@dataclass
class _Run:
    """One folder of shards that are numbered through."""

    below: str
    number: int
    records: list[ShardRecord] = field(default_factory=list)
    n_planned: int = 0
    waiting: pl.DataFrame | None = None


class _Writer:
    def __init__(
        self, setting: Setting, export: ShardedExport, folder: Folder, progress: Progress
    ) -> None:
        self._setting, self._export, self._folder = setting, export, folder
        self._progress = progress
        self._form: Form = form_of(export)
        self._in_groups = isinstance(export, WebDatasetExport) and (
            export.by_weight and weights_vary(setting.experiment.mixes[export.mix], export)
        )
        self._uids: dict[str, UidSpool] = {}
        self.written = Written()

    def count(self, partition: str, pairs: pl.DataFrame, rows: ExportRows) -> None:
        """Remember a partition's version and what its rows leave out."""
        self.written.versions[partition] = version_of(pairs)
        self.written.left_out.update(rows.left_out)
        self._progress(sum(rows.left_out.values()))

    def groups(self, rows: ExportRows) -> Iterator[tuple[str, pl.DataFrame]]:
        """The folders that a partition's samples go to, and those samples."""
        if not self._in_groups:
            if rows.samples.height:
                yield "", rows.samples
            return
        for weight, samples in rows.by_weight():
            yield f"weight_{weight:g}", samples

    def write(self, run: _Run, rows: pl.DataFrame) -> None:
        """Write the next shard of a folder."""
        if run.number >= 10**MAX_DIGITS:
            msg = f"more than {10**MAX_DIGITS:,} shards: raise samples_per_shard"
            raise ExportError(msg)
        record, files = write_shard(
            self._folder,
            self._form,
            run.number,
            rows,
            lambda wanted: encoded_images(self._setting, wanted),
            run.below,
        )
        run.number += 1
        run.records.append(record)
        run.n_planned += rows.height
        self.written.add(record, files)
        if isinstance(self._export, WebDatasetExport):
            spool = self._uids.setdefault(run.below, UidSpool())
            spool.add(written_samples(rows, record)["uid"])
        self._progress(rows.height)

    def finish(self, run: _Run) -> None:
        """Write what stands beside the shards of a folder, as DataComp's resharder does."""
        if not isinstance(self._export, WebDatasetExport) or not run.records:
            return
        names = {name: joined(run.below, name) for name in (SIZES, META, SAMPLE_IDS)}
        with self._folder.writing(names[SAMPLE_IDS]) as file:
            self._uids.pop(run.below).write(file)
        meta = meta_json(run.records, run.n_planned, self._export.samples_per_shard)
        self.written.add_files(
            file.written(names[SAMPLE_IDS]),
            self._folder.write(names[SIZES], sizes_json(run.records)),
            self._folder.write(names[META], meta),
        )
