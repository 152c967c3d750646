"""The images nearest to a text or an image, by the stored embeddings."""

import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.look.cards import FOUND
from recap_assets.look.gallery import Gallery
from recap_assets.scores.opened import embedder_of

HELD_BYTES = 256 * 2**20
"""Of embeddings that stay in memory; where there are more, each search reads them again."""

_BLOCK = 1 << 16
_MODEL = threading.Lock()

Vectors = NDArray[np.float16]


class Part(NamedTuple):
    """The embeddings of one partition: its key, uids, and an array of shape (n, dimension)."""

    partition: str
    uids: pl.Series
    vectors: Vectors


def text_vector(gallery: Gallery, scorer: str, text: str) -> NDArray[np.float32]:
    """The embedding of a text by a scorer's model, which the first text loads."""
    with _MODEL:
        return np.asarray(embedder_of(gallery.project, scorer).embed_texts([text])[0], np.float32)


def pixels_vector(gallery: Gallery, scorer: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The embedding of an image of shape (height, width, 3) by a scorer's model."""
    with _MODEL:
        found = embedder_of(gallery.project, scorer).embed_images([pixels])
    return np.asarray(found[0], np.float32)


def image_vector(gallery: Gallery, scorer: str, uid: bytes) -> NDArray[np.float32] | None:
    """The stored embedding of an image; None where there is none."""
    rows = gallery.project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer=scorer)
    found = rows.filter(pl.col("uid") == pl.lit(uid)).select("embedding").head(1).collect()
    if found.is_empty():
        return None
    return np.frombuffer(found["embedding"].item(), "<f2").astype(np.float32)


def nearest(gallery: Gallery, scorer: str, query: NDArray[np.float32], n: int) -> pl.DataFrame:
    """The n images nearest to an embedding, the nearest first.

    Returns:
        FOUND and `similarity`, the cosine of both embeddings.
    """
    best = pl.DataFrame(schema={**FOUND, "similarity": pl.Float32})
    unit = query / max(float(np.linalg.norm(query)), 1e-12)
    for part in _parts(gallery, scorer):
        rows = _best_of(part, unit, n)
        best = pl.concat([best, rows]).sort("similarity", "uid", descending=[True, False]).head(n)
    return best


def _best_of(part: Part, query: NDArray[np.float32], n: int) -> pl.DataFrame:
    blocks = range(0, len(part.vectors), _BLOCK)
    found = [part.vectors[at : at + _BLOCK].astype(np.float32) @ query for at in blocks]
    similarity = np.concatenate([np.empty(0, np.float32), *found])
    first = np.argpartition(-similarity, n)[:n] if len(similarity) > n else slice(None)
    return pl.DataFrame({"uid": part.uids, "similarity": similarity})[first].select(
        partition=pl.lit(part.partition), uid="uid", similarity="similarity"
    )


def _parts(gallery: Gallery, scorer: str) -> Iterable[Part]:
    held = gallery.kept.of(IMAGE_EMBEDDINGS, ("embeddings", scorer), lambda: _held(gallery, scorer))
    return _read(gallery, scorer) if held is None else held


def _held(gallery: Gallery, scorer: str) -> list[Part] | None:
    parts: list[Part] = []
    n_bytes = 0
    for part in _read(gallery, scorer):
        n_bytes += part.vectors.nbytes
        if n_bytes > HELD_BYTES:
            return None
        parts.append(part)
    return parts


def _read(gallery: Gallery, scorer: str) -> Iterator[Part]:
    tables = gallery.project.workspace.tables
    for partition in gallery.project.partitions:
        rows = tables.scan(IMAGE_EMBEDDINGS, scorer=scorer, partition=partition)
        found = rows.select("uid", "embedding").collect()
        if not found.is_empty():
            vectors = np.frombuffer(b"".join(found["embedding"]), "<f2")
            yield Part(partition, found["uid"], vectors.reshape(found.height, -1))
