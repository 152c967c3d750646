"""A partition's images, shard by shard and batch by batch, give the same however they are cut."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl
import pytest

from recap_assets.engines.protocols import Image
from recap_assets.graph.node import Step
from recap_assets.graph.shardwise import ImageBatch, of_readable, over_images
from recap_assets_tests.tiny import Bench, tiny_experiment

POOL = {"kind": "embedded", "samples": 12, "samples_per_shard": 4, "shards_per_partition": 3}
MEANS = pl.Schema({"shard": pl.Int32, "uid": pl.Binary, "mean": pl.Float32})
ROWS = pl.Schema({"uid": pl.Binary, "is_readable": pl.Boolean})
CHANGED = 5
"""The row whose image has other bytes than the pool's table knows."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("data"), tiny_experiment(pool=POOL))
    bench.build("world", "pool")
    return bench


@pytest.fixture(scope="module")
def images(bench: Bench) -> pl.DataFrame:
    rows = bench.project.usable_images("00000")
    assert rows["shard"].value_counts().sort("shard").rows() == [(0, 4), (1, 4), (2, 4)]
    changed = pl.int_range(pl.len()) == CHANGED
    return rows.with_columns(sha256=pl.when(changed).then(pl.lit(b"0" * 32)).otherwise("sha256"))


def means(found: list[Image]) -> np.ndarray:
    assert found, "models are not asked about no image at all"
    return np.array([image.mean() for image in found], np.float32)


MEAN_OF_EACH = of_readable("mean", pl.Float32, means)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_value_for_each_readable_image(
    bench: Bench, images: pl.DataFrame, batch_size: int
) -> None:
    done: list[float] = []
    step = Step("00000", progress=done.append)
    found = over_images(bench.project, step, images, batch_size, MEANS, MEAN_OF_EACH)
    assert found["uid"].to_list() == [u for i, u in enumerate(images["uid"]) if i != CHANGED]
    assert found.schema == MEANS
    alone = over_images(bench.project, step, images[7:8], 1, MEANS, MEAN_OF_EACH)
    assert found.filter(pl.col("uid") == images["uid"][7]).equals(alone)
    assert done[-1] == 1.0
    assert done[:-1] == sorted(done[:-1])


def test_no_readable_image_and_no_image_at_all(bench: Bench, images: pl.DataFrame) -> None:
    for rows in (images[CHANGED : CHANGED + 1], images[:0]):
        found = over_images(bench.project, Step("00000"), rows, 4, MEANS, MEAN_OF_EACH)
        assert found.equals(MEANS.to_frame())


def in_twos(batches: Iterator[ImageBatch]) -> Iterator[pl.DataFrame]:
    """Each batch's frame when the next one was begun, as with a server."""
    before: ImageBatch | None = None
    for batch in batches:
        if before is not None:
            yield told(before)
        before = batch
    if before is not None:
        yield told(before)


def told(batch: ImageBatch) -> pl.DataFrame:
    is_readable = [i in batch.images for i in range(batch.rows.height)]
    return batch.rows.select("uid").with_columns(is_readable=pl.Series(is_readable))


def test_batches_may_be_taken_ahead_and_rows_without_an_image_be_told(
    bench: Bench, images: pl.DataFrame
) -> None:
    done: list[float] = []
    step = Step("00000", progress=done.append)
    found = over_images(bench.project, step, images, 3, ROWS, in_twos)
    each = over_images(bench.project, step, images, 2, ROWS, partial(map, told))
    assert found.equals(each)
    assert found["is_readable"].to_list() == [i != CHANGED for i in range(12)]
    assert [round(12 * one) for one in done[:6]] == [3, 4, 7, 8, 11, 12]


def test_finished_shards_are_kept_until_the_rows_are_written(
    bench: Bench, images: pl.DataFrame
) -> None:
    shards: list[int] = []

    def compute(batches: Iterator[ImageBatch]) -> Iterator[pl.DataFrame]:
        for batch in batches:
            if len(shards) == 2:
                raise KeyboardInterrupt
            shards.append(batch.rows["shard"][0])
            yield told(batch)

    def again(batches: Iterator[ImageBatch]) -> Iterator[pl.DataFrame]:
        for batch in batches:
            shards.append(batch.rows["shard"][0])
            yield told(batch)

    step = Step("00000", fingerprint="f", asset="told/a")
    with pytest.raises(KeyboardInterrupt):
        over_images(bench.project, step, images, 4, ROWS, compute)
    step = Step("00000", fingerprint="f", asset="told/a")
    found = over_images(bench.project, step, images, 4, ROWS, again)
    assert (shards, found.height) == ([0, 1, 2], 12)
    kept = bench.project.workspace.scratch / "told/a"
    assert len(list(kept.rglob("*.parquet"))) == 3
    for action in step.once_written:
        action()
    assert list(kept.rglob("*.parquet")) == []


class Preparing:
    """A model that prepares images when it is given them, and computes when it is asked."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def begin_images(self, images: list[Image]) -> Callable[[], np.ndarray]:
        number = sum(word.startswith("begin") for word in self.order)
        self.order.append(f"begin {number}")

        def compute() -> np.ndarray:
            self.order.append(f"compute {number}")
            return means(images)

        return compute


def test_the_next_batch_is_prepared_before_one_is_computed(
    bench: Bench, images: pl.DataFrame
) -> None:
    model = Preparing()
    ahead = of_readable("mean", pl.Float32, means, model)
    done: list[float] = []
    step = Step("00000", progress=done.append)
    found = over_images(bench.project, step, images[:4], 2, MEANS, ahead)
    assert found.equals(
        over_images(bench.project, Step("00000"), images[:4], 2, MEANS, MEAN_OF_EACH)
    )
    assert model.order == ["begin 0", "begin 1", "compute 0", "compute 1"]
    assert done == [0.5, 1.0]


def test_a_batch_without_a_readable_image_is_not_prepared(
    bench: Bench, images: pl.DataFrame
) -> None:
    model = Preparing()
    ahead = of_readable("mean", pl.Float32, means, model)
    found = over_images(bench.project, Step("00000"), images[4:8], 1, MEANS, ahead)
    assert found["uid"].to_list() == [images["uid"][i] for i in (4, 6, 7)]
    assert len(model.order) == 6
