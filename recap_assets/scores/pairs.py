"""Scores of pairs by a model that looks at image and text together."""

from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.engines.protocols import (
    AnnouncedPairScorer,
    Image,
    PairScorer,
    RemotePairScorer,
)
from recap_assets.graph.by_row import by_row
from recap_assets.graph.kept_rows import input_hashes
from recap_assets.graph.node import Step
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
from recap_assets.scores.kind import ByPairs
from recap_assets.scores.node import Scored, scores_in
from recap_assets.scores.opened import pair_scorer_of

_PAIR = ["shard", "uid", "candidate"]


def score_pairs(project: Project, spec: ByPairs, texts: pl.DataFrame, step: Step) -> Scored:
    """Score every text of a partition beside its image, shard by shard.

    Args:
        project: Whose pool it is.
        spec: The scorer.
        texts: Columns shard, uid, candidate, text; null where there is none.
        step: The partition.

    Returns:
        Scores in the order of `texts`; of the texts without one how many there are, by reason.

    Raises:
        ScoreError: The model gave something else than a number for each pair.
    """
    there = texts.drop_nulls("text").sort("uid", "candidate")
    images = project.usable_images(step.partition)
    spent: dict[str, int | float] = {}
    reasons: dict[str, int] = {}

    def scored(step: Step, pairs: pl.DataFrame) -> pl.DataFrame:
        these = images.join(pairs, on="uid", how="semi")
        with pair_scorer_of(project, spec) as scorer:
            if spec.is_announced:
                _announce(project, step, these, scorer, pairs)
            compute = partial(_scored, spec, scorer, pairs)
            found = over_images(project, step, these, spec.at_once, CLIP_SCORES.unsliced, compute)
            spent.update(spec.spent(scorer))
            reasons.update(scorer.unscored if isinstance(scorer, RemotePairScorer) else {})
        return found

    pairs = there.join(images.select("uid", "sha256"), on="uid", maintain_order="left")
    wanted = pairs.with_columns(input_hashes(pairs, "sha256", "text"))
    found = by_row(step, CLIP_SCORES, wanted, scored)
    rows = texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")
    # What a build before this one scored of the partition has its reasons no more.
    lost = {
        "image_unreadable": there.height - found.height,
        "not_scored": max(0, found["score"].null_count() - sum(reasons.values())),
        **reasons,
    }
    return Scored(rows, texts, lost, spent)


def _announce(
    project: Project, step: Step, images: pl.DataFrame, scorer: PairScorer, texts: pl.DataFrame
) -> None:
    """Have all pairs of a partition scored before the first score is asked for."""
    assert isinstance(scorer, AnnouncedPairScorer), "see ByPairs.is_announced"  # noqa: S101

    def announce(rows: pl.DataFrame) -> None:
        for batch in image_batches(project, rows, ANNOUNCED_AT_ONCE):
            pictures, captions = _pairs_of(batch, texts)[1:]
            scorer.announce_pairs(pictures, captions)

    announced(project, step, images, scorer, announce)


def _scored(
    spec: ByPairs, scorer: PairScorer, texts: pl.DataFrame, batches: Iterator[ImageBatch]
) -> Iterator[pl.DataFrame]:
    n_ahead = BATCHES_AHEAD if isinstance(scorer, RemotePairScorer) else 0
    return asked_ahead(batches, partial(_begun, spec, scorer, texts), n_ahead)


def _begun(
    spec: ByPairs, scorer: PairScorer, texts: pl.DataFrame, batch: ImageBatch
) -> Callable[[], pl.DataFrame]:
    pairs, images, captions = _pairs_of(batch, texts)
    is_asked = isinstance(scorer, RemotePairScorer) and bool(images)
    result = scorer.submit(images, captions).result if is_asked else None  # type: ignore[union-attr]

    def finish() -> pl.DataFrame:
        if result is not None:
            scores: object = result()
        else:
            scores = scorer.score(images, captions) if images else []
        return pairs.select(_PAIR).with_columns(scores_in(spec, scores, len(images), "pair"))

    return finish


def _pairs_of(
    batch: ImageBatch, texts: pl.DataFrame
) -> tuple[pl.DataFrame, list[Image], list[str]]:
    """The pairs of a batch: their names, and each one's image and text."""
    images = list(batch.images.values())
    numbered = batch.readable.select("shard", "uid").with_row_index("image")
    pairs = numbered.join(texts, on=["shard", "uid"], how="inner").sort("image", "candidate")
    return pairs, [images[number] for number in pairs["image"]], pairs["text"].to_list()
