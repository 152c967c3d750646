"""Scores of pairs by a model that looks at image and text together."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import polars as pl

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.engines.protocols import PairScorer
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import ImageBatch, over_images
from recap_assets.scores.kind import ByPairs
from recap_assets.scores.opened import pair_scorer_of
from recap_assets.untrusted.errors import RecapError

_PAIR = ["shard", "uid", "candidate"]


class ScoreError(RecapError, ValueError):
    """A model gave what is no score. The text says which one, and what a score is."""


def score_pairs(
    project: Project, spec: ByPairs, texts: pl.DataFrame, step: Step
) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """Score every text of a partition beside its image, shard by shard.

    Args:
        project: Whose pool it is.
        spec: The scorer.
        texts: Columns shard, uid, candidate, text; null where there is none.
        step: The partition.

    Returns:
        Shard, uid, candidate, score, in the order of `texts`, null where there is no score; and of
        the texts without one how many there are, by reason.

    Raises:
        ScoreError: The model gave something else than a number in [-1, 1] for each pair.
    """
    there = texts.drop_nulls("text").sort("uid", "candidate")
    images = project.usable_images(step.partition).join(there, on="uid", how="semi")
    schema = CLIP_SCORES.unsliced
    compute = partial(_scored, spec, pair_scorer_of(project, spec), there)
    found = over_images(project, step, images, spec.at_once, schema, compute)
    rows = texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")
    counted = {
        "image_unreadable": there.height - found.height,
        "not_scored": found["score"].null_count(),
    }
    return rows, {reason: n for reason, n in counted.items() if n}


def _scored(
    spec: ByPairs, scorer: PairScorer, texts: pl.DataFrame, batches: Iterator[ImageBatch]
) -> Iterator[pl.DataFrame]:
    for batch in batches:
        images = list(batch.images.values())
        numbered = batch.readable.select("shard", "uid").with_row_index("image")
        pairs = numbered.join(texts, on=["shard", "uid"], how="inner").sort("image", "candidate")
        shown = [images[number] for number in pairs["image"]]
        scores = scorer.score(shown, pairs["text"].to_list()) if shown else []
        yield pairs.select(_PAIR).with_columns(_checked(spec, scores, len(shown)))


def _checked(spec: ByPairs, scores: object, n_pairs: int) -> pl.Series:
    values = np.asarray(scores, np.float32)
    if values.shape != (n_pairs,):
        msg = f"{_who(spec)} gave scores of shape {values.shape} for {n_pairs} pairs"
        raise ScoreError(msg)
    wrong = values[~np.isnan(values) & ~(np.abs(values) <= 1)]
    if len(wrong):
        msg = f"{_who(spec)} gave {wrong[0]} for a pair; a score is in [-1, 1], or NaN for none"
        raise ScoreError(msg)
    return pl.Series("score", values, dtype=pl.Float32).fill_nan(None)


def _who(spec: ByPairs) -> str:
    of = f" of {spec.distribution} {spec.distribution_version}" if spec.distribution else ""
    return f"the scorer {spec.word}{of}"
