"""Writing an export: a folder for each pool partition, or all in one folder at once."""

from collections.abc import Iterator

import polars as pl

from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.reading import encoded_images, pairs_of, rows_of, version_of
from recap_assets.exports.rows import ExportRows, cuts
from recap_assets.exports.runs import Run
from recap_assets.exports.shards import joined, write_shard, written_samples
from recap_assets.exports.written import Progress, Written
from recap_assets.graph.project import Project
from recap_assets.storage.folders import Folder
from recap_assets.untrusted.errors import RecapError

MAX_DIGITS = 8


class ExportError(RecapError, ValueError):
    """An export cannot be written as asked; the text says why and what to do."""


def write_partition(
    project: Project, export: ShardedExport, folder: Folder, partition: str, progress: Progress
) -> Written:
    """Write the shards of one pool partition into folders of its own, numbered from 0."""
    writer = _Writer(project, export, folder, progress)
    pairs = pairs_of(project, export.mix, partition)
    rows = rows_of(project, export, partition, pairs)
    writer.count(partition, pairs, rows)
    for below, samples in writer.groups(rows):
        run = Run(joined(below, partition))
        for start, end in cuts(samples.height, export.samples_per_shard):
            writer.write(run, samples[start:end])
        writer.finish(run)
    return writer.written


def write_whole(
    project: Project, export: ShardedExport, folder: Folder, progress: Progress
) -> Written:
    """Write all shards into one folder, numbered through; each is full but for the last.

    Memory: the rows of one pool partition and of one shard of each weight, and the bytes of a few
    hundred images.
    """
    writer = _Writer(project, export, folder, progress)
    runs: dict[str, Run] = {}
    for partition in project.partitions:
        pairs = pairs_of(project, export.mix, partition)
        rows = rows_of(project, export, partition, pairs)
        writer.count(partition, pairs, rows)
        for below, samples in writer.groups(rows):
            run = runs.setdefault(below, Run(below))
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


class _Writer:
    def __init__(
        self, project: Project, export: ShardedExport, folder: Folder, progress: Progress
    ) -> None:
        self._project, self._export, self._folder = project, export, folder
        self._progress = progress
        mix = project.experiment.mixes[export.mix]
        self._form = export.form_of(mix)
        self._in_groups = export.in_groups(mix)
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

    def write(self, run: Run, rows: pl.DataFrame) -> None:
        """Write the next shard of a folder."""
        if run.number >= 10**MAX_DIGITS:
            msg = f"more than {10**MAX_DIGITS:,} shards: raise samples_per_shard"
            raise ExportError(msg)
        record, files = write_shard(
            self._folder,
            self._form,
            run.number,
            rows,
            lambda wanted: encoded_images(self._project, wanted),
            run.below,
            self._export.implemented_by,
        )
        run.number += 1
        run.records.append(record)
        run.n_planned += rows.height
        self.written.add(record, files)
        run.uids.add(written_samples(rows, record)["uid"])
        self._progress(rows.height)

    def finish(self, run: Run) -> None:
        """Write what is beside the shards of a folder."""
        if run.records:
            self.written.add_files(*self._export.beside_shards(self._folder, run))
        run.uids.close()
