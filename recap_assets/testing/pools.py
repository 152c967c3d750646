"""The contract of pools: subclass `PoolContract` in a module of tests.

A pool that keeps it is indexed and read the same in any order and any partitions::

    class TestZips(PoolContract):
        def given(self, folder):
            write_some_zips(folder)
            return ZipPool(kind="zips", folder=str(folder))
"""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recap_assets.artefacts import RAW_POOL, is_usable
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Node, Project, Step
from recap_assets.pool import assets
from recap_assets.pool.kind import PoolKind
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.reading import ImageReader
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.inputs import marked_but_deciding
from recap_assets.testing.stored_pool import EXPERIMENT

REASON = re.compile(r"[a-z][a-z0-9_]*")
NOWHERE = {"key": "../no such image", "offset": 2**40, "size": 1_000}
"""What an index of before may say of an image that is gone."""


class PoolContract:
    """What must hold of every kind of pool; its tests need `given` alone."""

    def given(self, folder: Path) -> PoolKind:
        """A pool of two shards or more, whose files are put below a folder that is empty."""
        raise NotImplementedError

    def project(self, folder: Path) -> Project:
        """An experiment on the pool, with its shards made where assets make them."""
        (folder / "given").mkdir()
        project = _project(folder, self.given(folder / "given"))
        project.scan()
        for node in assets.pool_of(project).nodes(project):
            _build(project, node)
        return project

    def test_shards_keep_their_numbers(self, tmp_path: Path) -> None:
        """A second look, and another process, find the same shards under the same numbers."""
        project = self.project(tmp_path)
        shards = dict(project.shards)
        assert len(shards) > 1
        assert all(number == shard.number for number, shard in shards.items())
        assert len({shard.name for shard in shards.values()}) == len(shards)
        project.scan()
        assert dict(_project(tmp_path, assets.pool_of(project)).shards) == shards

    def test_each_sample_is_good_or_has_a_reason(self, tmp_path: Path) -> None:
        """A row for each, and among the good ones no uid twice in a shard."""
        for rows in indexed(self.project(tmp_path)):
            lost = rows.filter(~is_usable())
            assert lost["reject_reason"].null_count() == 0
            assert all(REASON.fullmatch(reason) for reason in lost["reject_reason"])
            good = rows.filter(is_usable())
            assert good.height
            assert good["uid"].n_unique() == good.height
            assert good["sha256"].null_count() == 0

    def test_a_shard_that_is_indexed_again_is_the_same(self, tmp_path: Path) -> None:
        """Nothing is drawn, and nothing is remembered."""
        project = self.project(tmp_path)
        for one, other in zip(indexed(project), indexed(project), strict=True):
            assert one.equals(other)

    def test_images_are_those_of_the_index_in_any_order(self, tmp_path: Path) -> None:
        """Each has the bytes whose sha256 the index has, alone or among others."""
        project = self.project(tmp_path)
        rows = pl.concat(indexed(project)).filter(is_usable())
        there = _read(project, rows)
        assert None not in there
        assert _read(project, rows[::-1])[::-1] == there
        assert [_read(project, rows[i : i + 1])[0] for i in range(rows.height)] == there

    def test_what_is_gone_is_no_image(self, tmp_path: Path) -> None:
        """A place that holds nothing is reported as such, and stops no other."""
        project = self.project(tmp_path)
        row = pl.concat(indexed(project)).filter(is_usable())[:1]
        gone = row.with_columns(pl.lit(value).alias(name) for name, value in NOWHERE.items())
        same = gone.select(pl.col(name).cast(kind) for name, kind in row.schema.items())
        both = pl.concat([same, row])
        assert [data is None for data in _read(project, both)] == [True, False]

    def test_partitions_change_no_row(self, tmp_path: Path) -> None:
        """The same samples are good in partitions of one shard and of all."""
        project = self.project(tmp_path)
        found = built(project)
        pool = assets.pool_of(project)
        larger = pool.model_copy(update={"shards_per_partition": 100})
        again = _project(tmp_path, larger)
        assert len(again.partitions) == 1 < len(project.partitions)
        assert built(again).drop("partition").equals(found.drop("partition"))

    def test_marks_hold(self, tmp_path: Path) -> None:
        """Speed, places and secrets are in no version."""
        assert not marked_but_deciding(self.given(tmp_path))


def indexed(project: Project) -> list[pl.DataFrame]:
    """The rows of each shard."""
    return [index_shard(shard, project.pool) for shard in project.shards.values()]


def built(project: Project) -> pl.DataFrame:
    """The raw pool as it is built, by shard and key."""
    (node,) = [one for one in assets.nodes(project) if one.key == RAW_POOL.key()]
    _build(project, node)
    now = pl.col("partition").is_in(list(project.partitions))
    return project.workspace.tables.scan(RAW_POOL).filter(now).collect().sort("shard", "uid", "key")


def _project(folder: Path, pool: PoolKind) -> Project:
    written = {"kind": "webdataset", "shards": str(folder)}
    experiment = parse_experiment({**EXPERIMENT, "pool": written})
    experiment = experiment.model_copy(update={"pool": pool})
    return Project(experiment, Workspace(folder / "data", experiment.name))


def _build(project: Project, node: Node) -> None:
    for partition in project.partitions if node.dimension == "pool" else ("",):
        outcome = compute_and_write(node, Step(partition, asset=node.key))
        assert node.stored_version(partition, _versions(project)) == outcome.data_version


def _versions(project: Project) -> dict[str, int]:
    version = project.workspace.tables.version(RAW_POOL)
    return {} if version is None else {RAW_POOL.name: version}


def _read(project: Project, rows: pl.DataFrame) -> Sequence[bytes | None]:
    reader = ImageReader(project.shards, project.pool)
    try:
        return reader.read_encoded(rows)
    finally:
        reader.close()
