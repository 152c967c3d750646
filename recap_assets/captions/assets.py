"""Synthetic captions: every usable image captioned by one source."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import (
    STATUS_ERROR,
    STATUS_TRUNCATED,
    USABLE,
    count_rejects,
    is_usable,
)
from recap_assets.artefacts.training import MODELS
from recap_assets.engines.protocols import Caption, Captioner, Image, RemoteCaptioner
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.loaded import loaded_captioner, released
from recap_assets.graph.node import Dependency, Node, Outcome, Step
from recap_assets.graph.project import Setting
from recap_assets.graph.shardwise import ShardProgress, by_shard, forget
from recap_assets.shards.reading import iterate_images
from recap_assets.specs.base import deciding
from recap_assets.specs.sources import (
    CaptionerSource,
    EmbeddedSource,
    OpenAISource,
    images_at_once,
)

VERSION = 2
STAGE = "captions"
SECONDS_PER_IMAGE = 0.003
BATCHES_AHEAD = 2
"""Batches that a server has under way beside the one that is waited for."""

_COLUMNS = [c for c in SYNTHETIC_CAPTIONS.columns if c not in SYNTHETIC_CAPTIONS.slices]
_SCHEMA = pl.Schema({name: SYNTHETIC_CAPTIONS.schema[name] for name in _COLUMNS})


def nodes(setting: Setting) -> list[Node]:
    """A node for each declared captioner."""
    sources = setting.experiment.sources.items()
    return [_node(setting, n, spec) for n, spec in sources if isinstance(spec, CaptionerSource)]


def _node(setting: Setting, name: str, spec: CaptionerSource) -> Node:
    trained = (
        [Dependency(MODELS.key(spec.model), "all")] if isinstance(spec, EmbeddedSource) else []
    )
    return Node(
        key=SYNTHETIC_CAPTIONS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(RAW_POOL.key(), "same"), *trained),
        implementation=VERSION,
        decides=deciding(captioner=_what_decides(spec)),
        compute=lambda step: caption_partition(setting, name, spec, step),
        description=f"Captions that {name} ({spec.kind}: {spec.model}) wrote for every usable "
        "image; the same for an image whatever the batch, the shard or the order.",
        content=StoredRows(setting.workspace.tables, SYNTHETIC_CAPTIONS, {"source": name}),
        seconds=SECONDS_PER_IMAGE * spec.candidates * 1_000,
        pool="cpu" if isinstance(spec, OpenAISource) else "gpu",
        kinds=("openai" if isinstance(spec, OpenAISource) else "pytorch", "deltalake"),
        checks=(captions_not_empty(setting, name),),
    )


def _what_decides(spec: CaptionerSource) -> Mapping[str, object]:
    if isinstance(spec, OpenAISource):
        return spec.all_but(*spec.changes_no_caption)
    # These change the speed and not the captions, so they change no version.
    return spec.all_but("batch_size", "device", "device_map", "attention")


def caption_partition(setting: Setting, name: str, spec: CaptionerSource, step: Step) -> Outcome:
    """Caption one pool partition, shard by shard."""
    images = setting.usable_images(step.partition)
    captioner = loaded_captioner(setting, spec)

    def compute(rows: pl.DataFrame, advance: ShardProgress) -> pl.DataFrame:
        at_once = images_at_once(spec.batch_size)
        return caption_rows(setting, captioner, rows, at_once, advance)

    with released(captioner):
        rows = by_shard(setting, step, SYNTHETIC_CAPTIONS.key(name), images, compute)
    written = setting.workspace.tables.replace(
        SYNTHETIC_CAPTIONS,
        {"source": name, "partition": step.partition},
        rows,
        known_version=step.known_version,
        commit=step.commit,
    )
    forget(setting, step, SYNTHETIC_CAPTIONS.key(name))
    good = rows.filter(is_usable())
    return Outcome(
        written.data_version,
        rows.height,
        count_rejects(rows),
        facts={
            "tokens_per_caption": round(float(good["n_tokens"].mean() or 0), 2),  # type: ignore[arg-type]
            "truncated": int((rows["status"] == STATUS_TRUNCATED).sum()),
            **_paid(spec, captioner),
        },
        markdown={"preview": preview_markdown(good.select("uid", "text", "log_probability"))},
        written=(written,),
    )


def _paid(spec: CaptionerSource, captioner: Captioner) -> Mapping[str, int | float]:
    """What a server was asked for this time, and what that cost; empty for other captioners."""
    if not isinstance(captioner, RemoteCaptioner) or not isinstance(spec, OpenAISource):
        return {}
    usage = captioner.usage
    cost = spec.cost_of(usage.prompt_tokens, usage.completion_tokens)
    return {**asdict(usage), **({} if cost is None else {"cost": round(cost, 6)})}


def caption_rows(
    setting: Setting,
    captioner: Captioner,
    rows: pl.DataFrame,
    batch_size: int,
    advance: ShardProgress,
) -> pl.DataFrame:
    """Captions of the images in `rows` (shard, uid, key, offset, size), rejected ones included."""
    found: list[_Row] = []
    batches = iterate_images(rows, setting.shards, setting.pool, batch_size=batch_size)
    for batch, by_row, seconds in _captioned(captioner, batches):
        share = seconds / max(sum(map(len, by_row.values())), 1)
        uids = batch["uid"].to_list()
        for i, (shard, uid) in enumerate(zip(batch["shard"], uids, strict=True)):
            found.extend(_rows_of(shard, uid, by_row.get(i, [_UNREADABLE]), share))
        advance(batch.height)
    return pl.DataFrame(found, schema=_SCHEMA, orient="row")


_Batch = tuple[pl.DataFrame, list[Image | None]]
_Captioned = tuple[pl.DataFrame, Mapping[int, list[Caption]], float]


def _captioned(captioner: Captioner, batches: Iterable[_Batch]) -> Iterator[_Captioned]:
    """Each batch with the captions of its readable images, by row, and the seconds waited for."""
    under_way: deque[Callable[[], _Captioned]] = deque()
    # A server is given the next batches before it is through with one, so that it never idles.
    n_ahead = BATCHES_AHEAD if isinstance(captioner, RemoteCaptioner) else 0
    for batch, images in batches:
        under_way.append(_begun(captioner, batch, images))
        if len(under_way) > n_ahead:
            yield under_way.popleft()()
    for finish in under_way:
        yield finish()


def _begun(
    captioner: Captioner, batch: pl.DataFrame, images: Sequence[Image | None]
) -> Callable[[], _Captioned]:
    readable = {i: image for i, image in enumerate(images) if image is not None}
    uids = batch["uid"].to_list()
    work = (list(readable.values()), [uids[i] for i in readable])
    result = captioner.submit(*work).result if isinstance(captioner, RemoteCaptioner) else None

    def finish() -> _Captioned:
        start = time.monotonic()
        captions = captioner.caption(*work) if result is None else result()
        return batch, dict(zip(readable, captions, strict=True)), time.monotonic() - start

    return finish


_UNREADABLE = Caption("", STATUS_ERROR, reason="image_unreadable")

_Row = tuple[str | bytes | int | float | None, ...]


def _rows_of(shard: int, uid: bytes, captions: Sequence[Caption], seconds: float) -> Iterator[_Row]:
    for candidate, caption in enumerate(captions):
        is_lost = caption.status not in USABLE
        yield (
            shard,
            uid,
            candidate,
            caption.text or None,
            caption.log_probability,
            caption.n_tokens,
            caption.n_prompt_tokens,
            caption.status,
            # What is set aside has a reason, if only its status.
            caption.reason or caption.status if is_lost else None,
            seconds if caption.seconds is None else caption.seconds,
        )


def captions_not_empty(setting: Setting, name: str) -> Check:
    """The check that every usable caption of a source has text."""

    def judge(partitions: Sequence[str]) -> Verdict:
        rows = setting.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=name)
        chosen = rows.filter(pl.col("partition").is_in(partitions) & is_usable())
        texts = chosen.select(pl.col("text").str.strip_chars()).collect()["text"]
        empty = int((texts.fill_null("") == "").sum())
        return Verdict(empty == 0, {"captions": len(texts), "empty": empty})

    return Check("captions_are_not_empty", "Every caption that counts as ok has text.", judge)
