"""The asset of a source that captions the regions of images."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.facets import IMAGES
from recap_assets.artefacts.table import STATUS_EMPTY, STATUS_ERROR
from recap_assets.captions.assets import (
    GUESSED_FOR,
    Written,
    announce_images,
    captions_by_row,
    written_node,
)
from recap_assets.captions.derived import found_rows
from recap_assets.captions.kinds.regions.boxes import boxes_in, cut_out, region_uid
from recap_assets.captions.kinds.regions.spec import RegionsSpec
from recap_assets.captions.opened import opened
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import complete, named_texts, texts_of_images
from recap_assets.engines.protocols import (
    Caption,
    Captioner,
    Device,
    Image,
    LocalCaptioner,
    RemoteCaptioner,
)
from recap_assets.graph.by_row import by_row
from recap_assets.graph.kept_rows import input_hashes
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import BATCHES_AHEAD, ImageBatch, asked_ahead, over_images
from recap_assets.specs.base import deciding

VERSION = 1

_SCHEMA = SYNTHETIC_CAPTIONS.unsliced
_UNREADABLE = Caption("", STATUS_ERROR, reason="image_unreadable")
_NO_BOXES = Caption("", STATUS_EMPTY, reason="no_boxes")


def node_of(project: Project, name: str, spec: RegionsSpec) -> Node:
    """The asset of the captions of regions."""
    written = Written(
        reads=_reads(spec),
        of_pool=IMAGES,
        by=spec.by,
        implementation=VERSION,
        decides=deciding(regions=spec),
        compute=lambda step: caption_regions(project, spec, step),
        description=f"Captions that {name} ({spec.by.word}: {spec.by.called}) wrote for the first "
        f"{spec.keep} boxes of every usable image, by the column {spec.boxes}.",
        rows=captions_by_row(by_uid=spec.by.draws_by_uid),
        seconds=spec.by.seconds_per_image * spec.keep * GUESSED_FOR,
    )
    return written_node(project, name, spec, written)


def _reads(spec: RegionsSpec) -> Sequence[str]:
    return tuple(dict.fromkeys((spec.boxes, *spec.by.reads)))


def caption_regions(project: Project, spec: RegionsSpec, step: Step) -> Rows:
    """Caption the regions of one pool partition, shard by shard."""
    texts = texts_of_images(project, _reads(spec), step.partition)
    whole, lost = complete(texts, _reads(spec))
    without = texts.filter(pl.Series([one is not None for one in lost], dtype=pl.Boolean))
    lacking = caption_rows(without, [one for one in lost if one is not None], None)
    images = project.usable_images(step.partition)
    images = images.join(whole.drop("shard"), on="uid", maintain_order="left")
    named = (f"text.{name}" for name in _reads(spec))
    wanted = images.with_columns(input_hashes(images, "sha256", *named))
    writing = _Writing()
    rows = by_row(step, SYNTHETIC_CAPTIONS, wanted, partial(_written, project, spec, writing))
    described = rows.filter(pl.col("status") != STATUS_EMPTY)
    per_image = described.height / spec.by.candidates / max(described["uid"].n_unique(), 1)
    facts = {"regions_per_image": round(per_image, 2), **writing.spent, **writing.device.facts}
    found = found_rows(pl.concat([rows, lacking], how="diagonal"), facts)
    return replace(found, machine={**spec.given_by, **writing.device.machine})


@dataclass
class _Writing:
    """What came to light while captions were written."""

    device: Device = field(default_factory=Device)
    spent: Mapping[str, int | float] = field(default_factory=dict[str, int | float])


def _written(
    project: Project, spec: RegionsSpec, writing: _Writing, step: Step, images: pl.DataFrame
) -> pl.DataFrame:
    """The captions that are written for the regions of some images, shard by shard."""
    with opened(project, spec.by) as captioner:
        if spec.by.is_announced:
            announce_images(project, step, images, captioner, partial(_work_of, spec))
        compute = partial(_captioned, captioner, spec)
        rows = over_images(project, step, images, spec.by.at_once, _SCHEMA, compute)
        writing.device = captioner.made_on() if isinstance(captioner, LocalCaptioner) else Device()
        writing.spent = spec.by.spent(captioner)
    return rows


@dataclass(frozen=True)
class _Regions:
    """The regions of a batch, and how many each of its rows has; None of an unreadable image."""

    images: list[Image]
    uids: list[bytes]
    texts: list[dict[str, str]]
    counts: list[int | None]


def _captioned(
    captioner: Captioner, spec: RegionsSpec, batches: Iterable[ImageBatch]
) -> Iterator[pl.DataFrame]:
    n_ahead = BATCHES_AHEAD if isinstance(captioner, RemoteCaptioner) else 0
    return asked_ahead(batches, partial(_begun, captioner, spec), n_ahead)


def _begun(
    captioner: Captioner, spec: RegionsSpec, batch: ImageBatch
) -> Callable[[], pl.DataFrame]:
    regions = _regions(spec, batch)
    work = _work_with(spec, regions)
    result = captioner.submit(*work).result if isinstance(captioner, RemoteCaptioner) else None

    def finish() -> pl.DataFrame:
        start = time.monotonic()
        if not regions.images:
            written: list[list[Caption]] = []
        else:
            written = captioner.caption(*work) if result is None else result()
        share = (time.monotonic() - start) / max(sum(map(len, written)), 1)
        return caption_rows(batch.rows, _by_image(regions.counts, written), share)

    return finish


def _work_of(spec: RegionsSpec, batch: ImageBatch) -> tuple[Any, ...]:
    return _work_with(spec, _regions(spec, batch))


def _work_with(spec: RegionsSpec, regions: _Regions) -> tuple[Any, ...]:
    """The regions with their uids and, where the prompt has any, their texts."""
    work = (regions.images, regions.uids)
    return (*work, regions.texts) if spec.by.reads else work


def _regions(spec: RegionsSpec, batch: ImageBatch) -> _Regions:
    found = _Regions([], [], [], [])
    named = named_texts(batch.rows, _reads(spec))
    for number, uid in enumerate(batch.rows["uid"]):
        if number not in batch.images:
            found.counts.append(None)
            continue
        crops = _crops(spec, batch.images[number], named[number])
        found.images.extend(crop for _, crop in crops)
        found.uids.extend(region_uid(uid, box) for box, _ in crops)
        found.texts.extend({n: named[number][n] for n in spec.by.reads} for _ in crops)
        found.counts.append(len(crops))
    return found


def _crops(
    spec: RegionsSpec, image: Image, texts: Mapping[str, str]
) -> list[tuple[tuple[int, int, int, int], Image]]:
    size = (image.shape[1], image.shape[0])
    boxes = boxes_in(texts[spec.boxes], size, spec.corners, spec.unit, spec.smallest)
    return [(box, cut_out(image, box)) for _, box in zip(range(spec.keep), boxes, strict=False)]


def _by_image(
    counts: Sequence[int | None], written: Sequence[list[Caption]]
) -> list[list[Caption]]:
    rest, found = iter(written), list[list[Caption]]()
    for count in counts:
        captions = [caption for _ in range(count or 0) for caption in next(rest)]
        found.append(captions or [_UNREADABLE if count is None else _NO_BOXES])
    return found
