"""Synthetic captions: every usable image captioned by one source."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT, SYNTHETIC_CAPTIONS
from recap_assets.artefacts.facets import CAPTION_FACETS, IMAGES, SAMPLES
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import (
    STATUS_ERROR,
    STATUS_TRUNCATED,
    Table,
    count_rejects,
    is_usable,
)
from recap_assets.captions.kind import Captioning, OwnAssets
from recap_assets.captions.opened import opened
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import (
    complete,
    named_texts,
    text_dependencies,
    texts_of_images,
)
from recap_assets.engines.opening import WithModel
from recap_assets.engines.protocols import (
    AnnouncedCaptioner,
    Caption,
    Captioner,
    Device,
    LocalCaptioner,
    RemoteCaptioner,
)
from recap_assets.graph.by_row import by_row
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.contact_sheets import sheet_of_uids
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import (
    ANNOUNCED_AT_ONCE,
    BATCHES_AHEAD,
    ImageBatch,
    announced,
    asked_ahead,
    image_batches,
    over_images,
)
from recap_assets.specs.base import deciding
from recap_assets.specs.kinds import KindError
from recap_assets.specs.needed import partly_captioned
from recap_assets.specs.running import gpus_of

VERSION = 2
STAGE = "captions"
GUESSED_FOR = 1_000
"""Images that a source's time is guessed for."""

_SCHEMA = SYNTHETIC_CAPTIONS.unsliced


def nodes(project: Project) -> list[Node]:
    """The nodes of each declared source."""
    found = sources_of(project).items()
    return [node for name, spec in found for node in _nodes_of(project, name, spec)]


def _nodes_of(project: Project, name: str, spec: Captioning | OwnAssets) -> list[Node]:
    if isinstance(spec, Captioning):
        return [captioned(project, name, spec)]
    return spec.nodes(name, project)


def sources_of(project: Project) -> Mapping[str, Captioning | OwnAssets]:
    """The declared sources by name.

    Raises:
        KindError: A kind of another package is none.
    """
    found: dict[str, Captioning | OwnAssets] = {}
    for name, spec in project.experiment.sources.items():
        if not isinstance(spec, Captioning | OwnAssets):
            of = f"{type(spec).__name__} of {spec.distribution}"
            msg = f"sources.{name}: {of} is no Captioning or OwnAssets"
            raise KindError(msg)
        found[name] = spec
    return found


def captioned(project: Project, name: str, spec: Captioning) -> Node:
    """The asset of a source whose captions a model writes here."""
    written = Written(
        reads=spec.reads,
        by=spec,
        implementation=VERSION,
        decides=deciding(captioner=spec),
        compute=lambda step: caption_partition(project, name, spec, step),
        of_pool=IMAGES,
        rows=captions_by_row(by_uid=spec.draws_by_uid),
        description=f"Captions that {name} ({spec.word}: {spec.called}) wrote for every usable "
        "image; the same for an image whatever the batch, the shard or the order.",
        seconds=spec.seconds_per_image * GUESSED_FOR,
    )
    return written_node(project, name, spec, written)


@dataclass(frozen=True)
class Written:
    """What is particular to one source that a model writes.

    Attributes:
        reads: Names of the sources and columns that the model reads.
        by: The captioner or rewriter.
        implementation: Version of the code, raised by hand when it gives another result.
        decides: The settings that decide what it writes.
        compute: Writes a partition.
        description: What a user needs to know of the asset.
        seconds: A guess for `GUESSED_FOR` images.
        of_pool: The facet of the pool that the model reads beside texts.
        rows: How captions that were written before are recognized; None writes all again.
    """

    reads: Sequence[str]
    by: WithModel
    implementation: int
    decides: str
    compute: Callable[[Step], Rows]
    description: str
    seconds: float
    of_pool: str = SAMPLES
    rows: ByRow | None = None


def captions_by_row(*, by_uid: bool) -> ByRow:
    """How captions are recognized that were written before; what failed is tried again."""
    return ByRow(SYNTHETIC_CAPTIONS, by_uid, retried=pl.col("status") == STATUS_ERROR)


def captions_content(project: Project, name: str, *beside: Table) -> StoredRows:
    """Where the captions of a source are, with tables of the same slices beside."""
    tables, at = project.workspace.tables, {"source": name}
    return StoredRows(tables, SYNTHETIC_CAPTIONS, at, beside, facets=CAPTION_FACETS)


def written_node(
    project: Project, name: str, spec: Captioning | OwnAssets, written: Written
) -> Node:
    """The asset of a source that a model writes, here or at a server."""
    trained = (Dependency(key, "all") for key in written.by.trained_by())
    part = partly_captioned(project.experiment, name)
    partly = (Dependency(CAPTIONS_LEFT_OUT.key(name), "same", (SAMPLES,)),) if part else ()
    return Node(
        key=SYNTHETIC_CAPTIONS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(
            *text_dependencies(project, written.reads, written.of_pool),
            *trained,
            *partly,
        ),
        implementation=written.implementation,
        decides=written.decides,
        compute=written.compute,
        description=written.description,
        outside=outside_of(project, spec),
        content=captions_content(project, name),
        seconds=written.seconds,
        seconds_are_of=GUESSED_FOR,
        pool="cpu" if written.by.waits_for_a_server else "gpu",
        n_gpus=gpus_of(written.by),
        by_shard=True,
        kinds=(written.by.framework, "deltalake"),
        checks=(captions_not_empty(project, name),),
        is_worth_keeping=True,
        rows=written.rows,
    )


@dataclass
class _Writing:
    """What came to light while captions were written."""

    device: Device = field(default_factory=Device)
    spent: Mapping[str, int | float] = field(default_factory=dict[str, int | float])


def caption_partition(project: Project, name: str, spec: Captioning, step: Step) -> Rows:
    """Caption one pool partition, shard by shard; what cannot be captioned has its reason."""
    usable = project.usable_images(step.partition)
    asked = usable.join(_left_out(project, name, step), on="uid", how="anti", maintain_order="left")
    images, lacking = _with_texts(project, spec, step, asked)
    texts = (f"text.{name}" for name in spec.reads)
    wanted = images.with_columns(input_hashes(images, "sha256", *texts))
    writing = _Writing()
    written = by_row(step, SYNTHETIC_CAPTIONS, wanted, partial(_written, project, spec, writing))
    rows = pl.concat([written, lacking], how="diagonal") if lacking.height else written
    before = step.reuse.account.device
    good, device = rows.filter(is_usable()), writing.device
    return Rows(
        rows,
        rejected=count_rejects(rows),
        facts={
            "tokens_per_caption": round(float(good["n_tokens"].mean() or 0), 2),  # type: ignore[arg-type]
            "truncated": int((rows["status"] == STATUS_TRUNCATED).sum()),
            **({"left_out": n} if (n := usable.height - asked.height) else {}),
            **writing.spent,
            **device.facts,
        },
        markdown={
            **sheet_of_uids(project, step.partition, good["uid"]),
            "preview": preview_markdown(good.select("uid", "text", "log_probability")),
        },
        # Where none was written, those that are taken over say it.
        device=device.name if device.facts or before is None else before,
        machine={**spec.given_by, **device.machine},
    )


def _written(
    project: Project, spec: Captioning, writing: _Writing, step: Step, images: pl.DataFrame
) -> pl.DataFrame:
    """The captions that are written for some of a partition's images, shard by shard."""
    with opened(project, spec) as captioner:
        if spec.is_announced:
            work_of = partial(_work_of, reads=spec.reads)
            announce_images(project, step, images, captioner, work_of)
        compute = partial(_captioned, captioner, spec.reads)
        local = captioner if isinstance(captioner, LocalCaptioner) else None
        at_once = max(spec.at_once, local.at_once) if local else spec.at_once
        rows = over_images(project, step, images, at_once, _SCHEMA, compute)
        writing.device = local.made_on() if local else Device()
        n_tokens = int(rows["n_tokens"].sum() - step.reuse.account.resumed["completion_tokens"])
        # A server that was asked says itself what it counted.
        writing.spent = spec.spent(captioner) or {"completion_tokens": n_tokens}
    return rows


def announce_images(
    project: Project,
    step: Step,
    images: pl.DataFrame,
    captioner: Captioner,
    work_of: Callable[[ImageBatch], tuple[Any, ...]],
) -> None:
    """Have all of a partition's captions made before the first is asked for.

    Args:
        project: Whose pool it is.
        step: The partition.
        images: Those to be captioned.
        captioner: An `AnnouncedCaptioner`, as `Captioning.is_announced` promises.
        work_of: What it is given of a batch.
    """
    assert isinstance(captioner, AnnouncedCaptioner), "see Captioning.is_announced"  # noqa: S101

    def announce(rows: pl.DataFrame) -> None:
        for batch in image_batches(project, rows, ANNOUNCED_AT_ONCE):
            captioner.announce_images(*work_of(batch))

    announced(project, step, images, captioner, announce)


def _left_out(project: Project, name: str, step: Step) -> pl.DataFrame:
    """The uids of the images that are not captioned."""
    if partly_captioned(project.experiment, name) is None:
        return CAPTIONS_LEFT_OUT.empty().select("uid")
    tables = project.workspace.tables
    return tables.read(CAPTIONS_LEFT_OUT, source=name, partition=step.partition).select("uid")


def _with_texts(
    project: Project, spec: Captioning, step: Step, images: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The images with the texts that the prompt needs, and the captions of those that lack one."""
    if not spec.reads:
        return images, _SCHEMA.to_frame()
    texts = texts_of_images(project, spec.reads, step.partition)
    texts = texts.join(images.select("uid"), on="uid", how="semi", maintain_order="left")
    whole, lost = complete(texts, spec.reads)
    without = texts.filter(pl.Series([one is not None for one in lost], dtype=pl.Boolean))
    lacking = caption_rows(without, [one for one in lost if one is not None], None)
    return images.join(whole.drop("shard"), on="uid", maintain_order="left"), lacking


def _captioned(
    captioner: Captioner, reads: Sequence[str], batches: Iterable[ImageBatch]
) -> Iterator[pl.DataFrame]:
    """The captions of each batch, rejected ones included."""
    n_ahead = BATCHES_AHEAD if isinstance(captioner, RemoteCaptioner) else 0
    if isinstance(captioner, LocalCaptioner):
        n_ahead = captioner.batches_ahead
    return asked_ahead(batches, partial(_begun, captioner, reads), n_ahead)


def _begun(
    captioner: Captioner, reads: Sequence[str], batch: ImageBatch
) -> Callable[[], pl.DataFrame]:
    work = _work_of(batch, reads)
    result: Callable[[], list[list[Caption]]] = partial(captioner.caption, *work)
    if isinstance(captioner, RemoteCaptioner):
        result = captioner.submit(*work).result
    elif isinstance(captioner, LocalCaptioner):
        result = captioner.begin(*work)

    def finish() -> pl.DataFrame:
        start = time.monotonic()
        captions = result()
        by_row = dict(zip(batch.images, captions, strict=True))
        return _caption_rows(batch.rows, by_row, time.monotonic() - start)

    return finish


def _work_of(batch: ImageBatch, reads: Sequence[str]) -> tuple[Any, ...]:
    """The images with their uids and, where the prompt has any, their texts."""
    work: tuple[Any, ...] = (list(batch.images.values()), batch.readable["uid"].to_list())
    return (*work, named_texts(batch.readable, reads)) if reads else work


def _caption_rows(
    rows: pl.DataFrame, by_row: Mapping[int, list[Caption]], seconds: float
) -> pl.DataFrame:
    share = seconds / max(sum(map(len, by_row.values())), 1)
    captions = [by_row.get(i, [_UNREADABLE]) for i in range(rows.height)]
    return caption_rows(rows, captions, share)


_UNREADABLE = Caption("", STATUS_ERROR, reason="image_unreadable")


def captions_not_empty(project: Project, name: str) -> Check:
    """The check that every usable caption of a source has text."""

    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=name)
        chosen = rows.filter(pl.col("partition").is_in(partitions) & is_usable())
        texts = chosen.select(pl.col("text").str.strip_chars()).collect()["text"]
        empty = int((texts.fill_null("") == "").sum())
        return Verdict(empty == 0, {"captions": len(texts), "empty": empty})

    return Check("captions_are_not_empty", "Every caption that counts as ok has text.", evaluate)
