"""Preferences of a file, or drawn ones, with the embeddings of their images and texts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.judgements import preferences
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.graph.project import Project
from recap_assets.scores.opened import embedder_of
from recap_assets.training.corpora.text_rows import rows_of
from recap_assets.training.models.kinds.preference.spec import DRAWN, JUDGED, PreferenceSpec
from recap_assets.world.preferences import preferences_of

UID_DIGITS = 32
TEXTS_AT_ONCE = 8_192

Preference = tuple[bytes, str, str]
"""Uid, the better text, the worse one."""


@dataclass(frozen=True)
class Compared:
    """Embeddings of preferences, shape (n, dimension) each.

    Attributes:
        images: Of the images.
        better: Of the better texts.
        worse: Of the worse ones.
        n_elsewhere: Preferences whose image is not in the pool, or whose uid is none.
    """

    images: NDArray[np.float32]
    better: NDArray[np.float32]
    worse: NDArray[np.float32]
    n_elsewhere: int


@dataclass(frozen=True)
class _Columns:
    rows_at_most: int
    writes: str = "better"

    @property
    def reads(self) -> Mapping[str, str]:
        """The uid and the worse text."""
        return {"uid": "uid", "worse": "worse"}


def compared(project: Project, spec: PreferenceSpec) -> Compared:
    """The preferences whose image is in the pool, embedded.

    Raises:
        CorpusFileError: The file is gone, damaged, or lacks a column.
        ValueError: None is left, or drawn ones are asked for of a pool that is not drawn.
    """
    asked = list(islice(_preferences(project, spec), spec.rows_at_most))
    rows = pl.DataFrame(asked, schema=["uid", "better", "worse"], orient="row") if asked else None
    found = _with_images(project, spec.scorer, rows) if rows is not None else None
    if found is None or found.is_empty():
        of = f"{len(asked):,} in {spec.preferences}"
        msg = f"preferences: none of {of} is of an image of the pool"
        raise ValueError(msg)
    embedder = embedder_of(project, spec.scorer)
    better, worse = (_embedded(embedder, found[name]) for name in ("better", "worse"))
    return Compared(vectors_of(found["embedding"]), better, worse, len(asked) - found.height)


def _preferences(project: Project, spec: PreferenceSpec) -> Iterator[Preference]:
    if spec.preferences == DRAWN:
        if not project.pool.is_drawn:
            msg = "preferences: embedded ones are drawn of the embedded world, and the pool is not"
            raise ValueError(msg)
        uids = project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer=spec.scorer)
        known = set(uids.select("uid").collect()["uid"])
        yield from preferences_of(project.experiment.seed, known, project.pool.pictures_of_a_scene)
        return
    if spec.preferences == JUDGED:
        yield from judged(project).iter_rows()
        return
    for row in rows_of(Path(spec.preferences), _Columns(spec.rows_at_most)):
        uid, worse = row.inputs
        yield _uid(uid), row.output, worse


def judged(project: Project) -> pl.DataFrame:
    """The preferences of the table `judgements`: uid, better, worse."""
    return preferences(project.workspace.tables).select("uid", "better", "worse")


def _uid(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits) if len(digits) == UID_DIGITS else b""
    except ValueError:
        return b""


def _with_images(project: Project, scorer: str, rows: pl.DataFrame) -> pl.DataFrame:
    images = project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer=scorer)
    now = pl.col("partition").is_in(list(project.partitions))
    known = images.filter(now).select("uid", "embedding").unique("uid", keep="first")
    both = rows.lazy().filter((pl.col("worse") != "") & (pl.col("better") != pl.col("worse")))
    return both.join(known, on="uid").sort("uid", "better", "worse").collect()


def _embedded(embedder: object, texts: pl.Series) -> NDArray[np.float32]:
    parts = [
        embedder.embed_texts(texts[first : first + TEXTS_AT_ONCE].to_list())  # type: ignore[attr-defined]
        for first in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    return np.concatenate(parts)
