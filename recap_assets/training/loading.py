"""Training pairs in memory: a corpus or a curated mix, its images at the model's size."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.project import Project
from recap_assets.shards.reading import CorpusSample, iterate_images

if TYPE_CHECKING:
    from recap_assets.training.engine.curve import CurvePoint
    from recap_assets.training.engine.pairs import TrainingPairs

IMAGES_AT_ONCE = 512


def gathered_pairs(where: str, samples: "Iterable[CorpusSample]", side: int) -> "TrainingPairs":
    """All pairs of a corpus; every caption of an image is drawn equally often.

    Args:
        where: The corpus, for messages.
        samples: Its images with their captions.
        side: Of the square images, in pixels.

    Raises:
        ValueError: There is none.
    """
    from recap_assets.engines.small.images import to_square
    from recap_assets.training.engine.pairs import TrainingPairs

    images: list[NDArray[np.uint8]] = []
    index: list[int] = []
    texts: list[str] = []
    for _key, image, captions in samples:
        index.extend([len(images)] * len(captions))
        texts.extend(captions)
        images.append(to_square([image], side)[0])
    if not images:
        msg = f"{where}: no image with a caption in it"
        raise ValueError(msg)
    return TrainingPairs(
        np.stack(images), np.asarray(index, np.int32), texts, np.ones(len(texts), np.float32)
    )


def mix_pairs(
    project: Project, mix: str, side: int, *, with_sources: bool = False
) -> "TrainingPairs":
    """All pairs of a curated mix with their weights, without those whose image is unreadable.

    They come in the order of uid, image, text and weight, so that training is a function of what
    the pairs are and not of where in the pool they are.

    Args:
        project: The experiment and its workspace.
        mix: The mix.
        side: Of the square images, in pixels.
        with_sources: Whether the source of each text is marked on it.

    Raises:
        ValueError: It has no pair.
    """
    from recap_assets.training.engine.pairs import TrainingPairs

    located = _located(project, mix)
    wanted = located.unique(["shard", "uid"], keep="first", maintain_order=True)
    images, readable = _read(project, wanted, side)
    number = (pl.lit(readable).cum_sum() - 1).cast(pl.Int32)
    numbered = wanted.select("shard", "uid", number=number).filter(readable)
    kept = located.join(numbered, on=["shard", "uid"], how="inner", maintain_order="left")
    return TrainingPairs(
        images,
        kept["number"].to_numpy(),
        kept["text"].to_list(),
        kept["weight"].to_numpy(),
        kept["source"].to_list() if with_sources else (),
        _copies(wanted.filter(readable)["copies"]),
    )


def _copies(copies: pl.Series) -> "NDArray[np.int32] | None":
    return None if (copies == 1).all() else copies.to_numpy()


def mix_samples(project: Project, mix: str) -> "Iterator[CorpusSample]":
    """The images of a curated mix as they are, in the order of uid, each with its texts.

    Raises:
        ValueError: It has no pair.
    """
    located = _located(project, mix)
    rows = located.group_by("shard", "uid", maintain_order=True).agg(
        pl.col("offset", "key", "size", "sha256").first(), pl.col("text").alias("texts")
    )
    for batch, images in iterate_images(
        rows, project.shards, project.pool, batch_size=IMAGES_AT_ONCE
    ):
        keys, texts = batch["uid"].to_list(), batch["texts"].to_list()
        for uid, image, captions in zip(keys, images, texts, strict=True):
            if image is not None:
                yield CorpusSample(uid.hex(), image, captions)


def _located(project: Project, mix: str) -> pl.DataFrame:
    """The pairs of a mix, with where their images are."""
    tables = project.workspace.tables
    now = pl.col("partition").is_in(list(project.partitions))
    pairs = tables.scan(CURATED_MIXES, mix=mix).filter(now)
    pairs = pairs.select("partition", "uid", "text", "weight", "source", "copies")
    places = tables.scan(RAW_POOL).filter(is_usable())
    located = (
        pairs.join(places, on=["partition", "uid"], how="inner")
        .select(
            *("shard", "offset", "key", "size", "sha256", "uid"),
            *("text", "weight", "source", "copies"),
        )
        .sort("uid", "sha256", "text", "weight", "source", "shard")
        .collect()
    )
    if located.is_empty():
        msg = f"mixes.{mix}: no pair was selected, so there is nothing to train on"
        raise ValueError(msg)
    return located


def _read(project: Project, wanted: pl.DataFrame, side: int) -> tuple[NDArray[np.uint8], pl.Series]:
    """The images that can be read, in the order of `wanted`, and which those are.

    They are read in the order in which they are in their shards.
    """
    from recap_assets.engines.small.images import to_square

    images = np.zeros((wanted.height, side, side, 3), np.uint8)
    readable = np.zeros(wanted.height, np.bool_)
    rows = wanted.with_row_index("row").sort("shard", "offset", "key")
    batches = iterate_images(rows, project.shards, project.pool, batch_size=IMAGES_AT_ONCE)
    for batch, decoded in batches:
        there = np.array([image is not None for image in decoded])
        at = batch["row"].to_numpy()[there]
        images[at] = to_square([image for image in decoded if image is not None], side)
        readable[at] = True
    return images if readable.all() else images[readable], pl.Series(readable)


def curve_frame(curve: "Iterable[CurvePoint]") -> pl.DataFrame:
    """A training curve as a frame: step, samples_seen, loss, learning_rate_factor."""
    rows = [(p.step, p.samples_seen, p.loss, p.learning_rate_factor) for p in curve]
    schema = {
        "step": pl.Int64,
        "samples_seen": pl.Int64,
        "loss": pl.Float64,
        "learning_rate_factor": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
