"""Embeddings of a partition's texts, kept on the disk while they are needed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.engines.protocols import TextEmbedder
from recap_assets.graph.project import Project

TEXTS_AT_ONCE = 8_192


@contextmanager
def embedded_texts(
    project: Project, embedder: TextEmbedder, texts: pl.Series
) -> Iterator[NDArray[np.float32]]:
    """The embedding of each text, shape (n, dimension): an array on the disk for the block.

    Args:
        project: Whose scratch folder is used.
        embedder: What embeds; each distinct text of some is embedded once.
        texts: No null among them.
    """
    project.workspace.scratch.mkdir(parents=True, exist_ok=True)
    shape = (len(texts), embedder.embedding_dim)
    with tempfile.TemporaryFile(dir=project.workspace.scratch) as file:
        file.truncate(max(4 * shape[0] * shape[1], 1))
        rows = np.memmap(file, np.float32, "r+", shape=shape) if len(texts) else np.empty(shape)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            distinct = part.unique(maintain_order=True)
            place = dict(zip(distinct, range(len(distinct)), strict=True))
            index = np.fromiter((place[text] for text in part), dtype=np.int64, count=len(part))
            rows[start : start + len(part)] = embedder.embed_texts(distinct.to_list())[index]
        yield rows.astype(np.float32, copy=False)
