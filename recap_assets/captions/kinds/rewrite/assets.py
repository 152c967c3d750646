"""The asset of a source that a language model writes from other texts."""

import time
from collections.abc import Callable
from functools import partial

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.table import STATUS_TRUNCATED
from recap_assets.captions.assets import GUESSED_FOR, Written, captions_by_row, written_node
from recap_assets.captions.derived import found_rows
from recap_assets.captions.kinds.rewrite.spec import RewriteSpec
from recap_assets.captions.opened import opened_writer
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import (
    complete,
    in_place,
    named_texts,
    texts_of_images,
)
from recap_assets.engines.protocols import AnnouncedRewriter, RemoteRewriter, Rewriter
from recap_assets.graph.by_row import by_row
from recap_assets.graph.kept_rows import input_hashes
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import (
    ANNOUNCED_AT_ONCE,
    BATCHES_AHEAD,
    ShardProgress,
    announced,
    asked_ahead,
    by_shard,
)
from recap_assets.specs.base import deciding

VERSION = 1


def node_of(project: Project, name: str, spec: RewriteSpec) -> Node:
    """The asset of a rewritten source."""
    read = ", ".join(spec.names)
    written = Written(
        reads=spec.names,
        by=spec.by,
        implementation=VERSION,
        decides=deciding(rewrite=spec),
        compute=lambda step: rewrite_partition(project, spec, step),
        description=f"Texts that {spec.by.called} wrote from {read} of every usable image, each by "
        "itself.",
        rows=captions_by_row(by_uid=True),
        seconds=spec.by.seconds_per_text * spec.candidates * GUESSED_FOR,
    )
    return written_node(project, name, spec, written)


def rewrite_partition(project: Project, spec: RewriteSpec, step: Step) -> Rows:
    """Rewrite one pool partition, shard by shard; what cannot be rewritten has its reason."""
    texts = texts_of_images(project, spec.names, step.partition)
    whole, lost = complete(texts, spec.names)
    without = texts.filter(pl.Series([one is not None for one in lost], dtype=pl.Boolean))
    lacking = caption_rows(without, [one for one in lost if one is not None], None)
    wanted = whole.with_columns(input_hashes(whole, *(f"text.{name}" for name in spec.names)))
    spent: dict[str, int | float] = {}
    written = by_row(step, SYNTHETIC_CAPTIONS, wanted, partial(_rewritten, project, spec, spent))
    rows = pl.concat([written, lacking], how="diagonal")
    is_long = pl.any_horizontal(pl.col("^text\\..*$").str.len_chars() > spec.longest)
    facts = {
        "with_a_text_cut": int(texts.select(is_long.sum()).item() or 0),
        "truncated": int((rows["status"] == STATUS_TRUNCATED).sum()),
        **spent,
    }
    return found_rows(rows, facts)


def _rewritten(
    project: Project,
    spec: RewriteSpec,
    spent: dict[str, int | float],
    step: Step,
    texts: pl.DataFrame,
) -> pl.DataFrame:
    """What is written from some of a partition's texts, shard by shard."""
    with opened_writer(project, spec) as rewriter:
        if spec.by.is_announced:
            assert isinstance(rewriter, AnnouncedRewriter), "see Rewriting.is_announced"  # noqa: S101
            announced(project, step, texts, rewriter, partial(_announce, spec, rewriter))
        rows = by_shard(project, step, texts, partial(_of_shard, spec, rewriter))
        spent.update(spec.by.spent(rewriter))
    return rows


def _announce(spec: RewriteSpec, rewriter: AnnouncedRewriter, texts: pl.DataFrame) -> None:
    for batch in texts.iter_slices(ANNOUNCED_AT_ONCE):
        rewriter.announce_texts(*_work_of(spec, complete(batch, spec.names)[0]))


def _work_of(spec: RewriteSpec, whole: pl.DataFrame) -> tuple[list[dict[str, str]], list[bytes]]:
    """The texts of images that lack none, and their uids."""
    return named_texts(whole, spec.names), whole["uid"].to_list()


def _of_shard(
    spec: RewriteSpec, rewriter: Rewriter, texts: pl.DataFrame, advance: ShardProgress
) -> pl.DataFrame:
    slices = texts.iter_slices(spec.by.at_once)
    n_ahead = BATCHES_AHEAD if isinstance(rewriter, RemoteRewriter) else 0
    frames = [SYNTHETIC_CAPTIONS.unsliced.to_frame()]
    for n, frame in asked_ahead(slices, partial(_begun, spec, rewriter), n_ahead):
        frames.append(frame)
        advance(n)
    return pl.concat(frames)


def _begun(
    spec: RewriteSpec, rewriter: Rewriter, batch: pl.DataFrame
) -> Callable[[], tuple[int, pl.DataFrame]]:
    whole, lost = complete(batch, spec.names)
    work = _work_of(spec, whole)
    result = rewriter.submit(*work).result if isinstance(rewriter, RemoteRewriter) else None

    def finish() -> tuple[int, pl.DataFrame]:
        start = time.monotonic()
        written = rewriter.rewrite(*work) if result is None else result()
        share = (time.monotonic() - start) / max(sum(map(len, written)), 1)
        return batch.height, caption_rows(batch, in_place(lost, written), share)

    return finish
