"""The images nearest to a text or an image, by the stored embeddings."""

import threading

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.look.cards import FOUND
from recap_assets.look.embeddings import Part
from recap_assets.look.gallery import Gallery
from recap_assets.scores.opened import embedder_of

_MODEL = threading.Lock()


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
    if (partition := gallery.embeddings.partition_of(scorer, uid)) is not None:
        rows = rows.filter(pl.col("partition") == partition)
    found = rows.filter(pl.col("uid") == pl.lit(uid)).select("embedding").head(1).collect()
    if found.is_empty():
        return None
    return np.frombuffer(found["embedding"].item(), "<f2").astype(np.float32)


def nearest(gallery: Gallery, scorer: str, query: NDArray[np.float32], n: int) -> pl.DataFrame:
    """The n images nearest to an embedding, the nearest first.

    Returns:
        FOUND and `similarity`, the cosine of both embeddings.
    """
    unit = query / max(float(np.linalg.norm(query)), 1e-12)
    found = [pl.DataFrame(schema={**FOUND, "similarity": pl.Float32})]
    best = np.full(n, -np.inf, np.float32)
    for part in gallery.embeddings.searched(scorer).parts:
        cosines, places = part.vectors.nearest(unit, n)
        # What cannot be among the n any more is left out before its uids are looked up.
        is_near = cosines >= best[0]
        if is_near.any():
            found.append(_rows(part, cosines[is_near], places[is_near]))
            best = np.sort(np.concatenate([best, cosines[is_near]]))[-n:]
    return pl.concat(found).sort("similarity", "uid", descending=[True, False]).head(n)


def _rows(part: Part, cosines: NDArray[np.float32], places: NDArray[np.int64]) -> pl.DataFrame:
    uids = part.uids.gather(pl.Series(places, dtype=pl.UInt32))
    partition = pl.Series([part.partition]).new_from_index(0, len(places))
    return pl.DataFrame({"partition": partition, "uid": uids, "similarity": cosines})
