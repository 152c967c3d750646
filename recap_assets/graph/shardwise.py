"""Long partitions shard by shard: what a shard gave is kept, so a crash loses one shard's work."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.engines.protocols import Collects, Image, PreparesImages
from recap_assets.graph.node import Step
from recap_assets.graph.parts import FolderParts, Parts, part_name
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import taken_for
from recap_assets.shards.reading import iterate_images

B = TypeVar("B")
R = TypeVar("R")

ShardProgress = Callable[[int], None]
"""Told how many more rows are done."""


@dataclass(frozen=True)
class ImageBatch:
    """Some rows of a pool with those of their images that can still be read.

    Attributes:
        rows: As they were given, all of one shard.
        images: RGB arrays of shape (height, width, 3) by the number of their row, in its order.
    """

    rows: pl.DataFrame
    images: Mapping[int, Image]

    @property
    def readable(self) -> pl.DataFrame:
        """The rows that have an image."""
        return self.rows[list(self.images)]


class OneShardError(Exception):
    """The part of the one shard that was wanted is kept: nothing else of the partition is.

    Args:
        took: What making it took, of `graph.reuse.TOOK`; nothing where it was kept before.
        n_captions: Captions that were written for it.
    """

    def __init__(self, took: Mapping[str, float], n_captions: int) -> None:
        super().__init__()
        self.took, self.n_captions = took, n_captions


BATCHES_AHEAD = 2
"""Batches that a server has under way beside the one that is waited for."""

OverBatches = Callable[[Iterator[ImageBatch]], Iterator[pl.DataFrame]]
"""From batches to a frame for each, in their order; it may take some batches ahead of a frame."""


def over_images(
    project: Project,
    step: Step,
    images: pl.DataFrame,
    batch_size: int,
    schema: pl.Schema,
    compute: OverBatches,
) -> pl.DataFrame:
    """Compute a partition from its images, shard by shard, each shard in batches read ahead.

    Args:
        project: Whose pool it is.
        step: The partition.
        images: Columns shard, key, offset, size, and any others, as `usable_images` gives them.
        batch_size: Images of a batch at most.
        schema: Of the frames that `compute` gives.
        compute: From one shard's batches to their results.
    """

    def of_shard(rows: pl.DataFrame, advance: ShardProgress) -> pl.DataFrame:
        under_way: deque[int] = deque()

        def batches() -> Iterator[ImageBatch]:
            for batch in image_batches(project, rows, batch_size):
                under_way.append(batch.rows.height)
                yield batch

        frames = [schema.to_frame()]
        for frame in compute(batches()):
            frames.append(frame)
            advance(under_way.popleft())
        return pl.concat(frames)

    return by_shard(project, step, images, of_shard)


def image_batches(project: Project, rows: pl.DataFrame, batch_size: int) -> Iterator[ImageBatch]:
    """The images of some rows of one shard, in batches read ahead."""
    read = iterate_images(rows, project.shards, project.pool, batch_size=batch_size)
    for batch, found in read:
        readable = {i: image for i, image in enumerate(found) if image is not None}
        yield ImageBatch(batch, readable)


def unfinished(project: Project, step: Step, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of each shard that a partition still has to compute."""
    kept = _parts_of(project, step).kept() if step.fingerprint else ()
    for shard_rows in rows.partition_by("shard", maintain_order=True):
        if _part_of(step, shard_rows["shard"][0]) not in kept:
            yield shard_rows


ANNOUNCED_AT_ONCE = 64
"""Rows that are announced at once, for a batch of thousands: images are encoded together."""

_SHARE_OF_WAITING = 0.95
"""Of a partition's time, where its rows are announced first."""


def announced(
    project: Project,
    step: Step,
    rows: pl.DataFrame,
    to: Collects,
    announce: Callable[[pl.DataFrame], None],
) -> None:
    """Have all of a partition's results made before the first is asked for.

    Args:
        project: Where finished shards are kept: they are not announced.
        step: The partition.
        rows: What is to be computed, with a column `shard`.
        to: What is given the rows, and waits for its results.
        announce: Gives it the rows of one shard.
    """
    step.meter.before(step.asset, sum(one.height for one in unfinished(project, step, rows)))
    is_done = False
    while not is_done:
        for of_shard in unfinished(project, step, rows):
            announce(of_shard)
        is_done = to.collect(lambda done: step.progress(done * _SHARE_OF_WAITING))


def asked_ahead(
    batches: Iterable[B], begin: Callable[[B], Callable[[], R]], n_ahead: int
) -> Iterator[R]:
    """The result of each batch, in their order, where some are begun before one is waited for.

    A server is given the next batches before it is through with one, so that it never idles.

    Args:
        batches: Read as they are begun.
        begin: Begins one, and gives what waits for its result.
        n_ahead: Batches begun beside the one that is waited for.
    """
    under_way: deque[Callable[[], R]] = deque()
    for batch in batches:
        under_way.append(begin(batch))
        if len(under_way) > n_ahead:
            yield under_way.popleft()()
    for finish in under_way:
        yield finish()


def of_readable(
    column: str,
    dtype: pl.DataType | type[pl.DataType],
    give: Callable[[list[Image]], NDArray[np.float32]],
    model: object = None,
    pack: Callable[[NDArray[np.float32]], Sequence[bytes] | NDArray[np.float32]] = np.asarray,
) -> OverBatches:
    """A row for each readable image: shard, uid, and `column` with the value given for it.

    Args:
        column: Its name.
        dtype: Its type.
        give: Computes something for each of some images.
        model: What does so: one that `PreparesImages` prepares a batch while it computes another.
        pack: What the column holds of what was computed.
    """
    prepare = model.begin_images if isinstance(model, PreparesImages) else None

    def begin(batch: ImageBatch) -> Callable[[], pl.DataFrame]:
        images = list(batch.images.values())
        compute = prepare(images) if prepare and images else partial(give, images)

        def finish() -> pl.DataFrame:
            values = pack(compute()) if images else []
            rows = batch.readable.select("shard", "uid")
            return rows.with_columns(pl.Series(column, values, dtype))

        return finish

    return lambda batches: asked_ahead(batches, begin, 1 if prepare else 0)


def by_shard(
    project: Project,
    step: Step,
    rows: pl.DataFrame,
    compute: Callable[[pl.DataFrame, ShardProgress], pl.DataFrame],
) -> pl.DataFrame:
    """Compute a partition shard by shard and put the results together.

    Finished shards are kept until the partition is written.

    Args:
        project: Where to keep them.
        step: The partition; its fingerprint names what is kept, so nothing outdated is reused.
        rows: The partition's samples, with a column `shard`.
        compute: From one shard's rows to its results.

    Raises:
        OneShardError: The step wants one shard only, whose part is kept now.
    """
    kept = _parts_of(project, step)
    step.once_written.append(kept.clear)
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        step.progress(done / max(rows.height, 1))

    parts = []
    last_took, n_captions = dict[str, float](), 0
    for shard_rows in rows.partition_by("shard", maintain_order=True):
        shard = shard_rows["shard"][0]
        if step.only is not None and shard != step.only:
            continue
        name = _part_of(step, shard)
        if step.fingerprint and (before := kept.read(name)) is not None:
            parts.append(before)
            step.reuse.account.resumed.update(taken_for(before))
            advance(shard_rows.height)
            continue
        step.meter.before(step.asset, shard_rows.height)
        started = time.monotonic()
        part = compute(shard_rows, advance)
        n_captions = part.height if step.asset.startswith(SYNTHETIC_CAPTIONS.name) else 0
        seconds, last_took = time.monotonic() - started, taken_for(part)
        step.meter.after(step.asset, shard_rows.height, seconds, last_took, n_captions)
        if step.fingerprint and (step.only is not None or rows["shard"].n_unique() > 1):
            kept.keep(name, part)
        parts.append(part)
    if step.only is not None:
        raise OneShardError(last_took, n_captions)
    return pl.concat(parts) if parts else compute(rows, advance)


def _parts_of(project: Project, step: Step) -> Parts:
    folder = project.workspace.scratch / step.asset / (step.fingerprint or "direct")
    return step.parts or FolderParts(folder)


def _part_of(step: Step, shard: int) -> str:
    """What the part of a shard is called: after the rows that are asked for, where not all are."""
    return part_name(shard, step.asked.get(shard, ""))
