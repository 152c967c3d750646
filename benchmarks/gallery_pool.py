"""The made-up pool that `gallery.py` shows: every table of an experiment up to its mixes.

One tar a partition with a few tiny images, which the rows of the pool share in turn; drawn
embeddings around a thousand centres; captions of three sources from lists of words; scores of two
scorers; one sample in a hundred set aside. Cut-offs and mixes are computed by the platform itself.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from partitions import write
from PIL import Image

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, SCORE_HISTOGRAMS
from recap_assets.artefacts.table import (
    STATUS_DEGENERATE,
    STATUS_OK,
    STATUS_REJECTED,
    Table,
    is_usable,
)
from recap_assets.defs.session import Session
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.mixes import assets as mixes
from recap_assets.specs.models import SmallTower
from recap_assets.training.engine.small_trainee import SmallTrainee

IMAGES_OF_A_TAR = 64
CENTRES = 1_000
SET_ASIDE = {"too_small": 0.006, "undecodable": 0.004}
"""Shares of samples, by reason."""

EMPTY_CAPTIONS = 0.005
COLUMNS = (("clip", "raw"), ("clip", "blip"), ("clip", "llava"), ("dfn", "raw"))
WRITTEN = ("blip", "llava")
RARE = "zeppelin"
"""A word of one raw text in a hundred thousand."""

_WORDS = {
    "colour": "red blue green black white grey yellow brown pink orange old new small large bright",
    "thing": "dog cat car boat house tree bicycle chair flower bird horse train bridge lamp clock",
    "deed": "standing sleeping parked waiting shining moving resting leaning hanging lying",
    "place": "street beach garden kitchen forest field harbour square room desert bridge station",
    "time": "morning evening night afternoon winter summer autumn spring rain sun fog snow",
}
TEXTS = {
    "raw": "{colour} {thing} {place} {time}",
    "blip": "a {colour} {thing} {deed} in a {place}",
    "llava": "The image shows a {colour} {thing} {deed} in the {place} in the {time}, with a second"
    " {thing} in the distance.",
}
CLIP = {"kind": "embedded", "model": "clip", "device": "cpu"}
BLIP = {"kind": "transformers", "model": "Salesforce/blip-image-captioning"}
MIXES: Mapping[str, object] = {
    "raw_top30": [{"use": "raw", "where": {"top": 0.3}}],
    "mixed": [
        {"use": "raw", "where": {"top": 0.3}},
        {"use": "blip", "where": {"at_least": {"top": 0.3, "of": "raw"}, "of": "blip"}},
    ],
    "both": [
        {"use": "raw", "where": {"all": [{"top": 0.5}, {"top": 0.4, "of": "dfn.raw"}]}},
        {
            "use": {"best_of": ["blip", "llava"]},
            "where": {"at_least": {"top": 0.2, "of": "blip"}, "of": "blip"},
        },
    ],
}


class Stored(NamedTuple):
    """An image of a tar."""

    offset: int
    size: int
    sha256: bytes


def experiment(folder: Path) -> Mapping[str, object]:
    """The experiment file."""
    tower = {"kind": "clip", "corpus": "pairs", "samples_seen": 1}
    return {
        "name": "shown",
        "pool": {"kind": "webdataset", "shards": str(folder / "pool")},
        "corpora": {
            "pairs": {
                "kind": "embedded", "style": "scorer", "samples": 1, "captions_per_image": 1,
            }
        },
        "models": {"clip": tower},
        "sources": dict.fromkeys(WRITTEN, BLIP),
        "scorers": {
            "clip": CLIP,
            "dfn": {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"},
        },
        "mixes": {
            name: {"scorer": "clip", "rules": rules} for name, rules in MIXES.items()
        },
        "evaluation": {"tasks": {"coarse": {"kind": "embedded", "task": "coarse"}}},
    }  # fmt: skip


def write_tars(folder: Path, partitions: int) -> list[list[Stored]]:
    """The tars; where the images of each are."""
    folder.mkdir(parents=True)
    found = []
    for number in range(partitions):
        with tarfile.open(folder / f"{number:08d}.tar", "w") as tar:
            for i in range(IMAGES_OF_A_TAR):
                data = _jpeg(number * IMAGES_OF_A_TAR + i)
                info = tarfile.TarInfo(f"{i:09d}.jpg")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        found.append(_stored(folder / f"{number:08d}.tar"))
    return found


def _jpeg(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(encoded, "JPEG")
    return encoded.getvalue()


def _stored(path: Path) -> list[Stored]:
    with tarfile.open(path) as tar:
        return [
            Stored(one.offset_data, one.size, hashlib.sha256(_read(tar, one)).digest())
            for one in tar.getmembers()
        ]


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file
    return file.read()


class Pool:
    """The tables of the pool, written a partition at a time."""

    def __init__(self, project: Project, rows: int, dimension: int) -> None:
        self._tables = project.workspace.tables
        self._rows, self._dimension = rows, dimension
        centres = np.random.default_rng(0).standard_normal((CENTRES, dimension))
        self._centres = centres.astype(np.float32)

    def write(self, partition: str, images: list[Stored]) -> None:
        """All tables below the mixes, of one partition."""
        random = np.random.default_rng(int(partition) + 1)
        samples = self._samples(partition, images, random)
        self._replace(RAW_POOL, {"partition": partition}, samples)
        usable = samples.filter(is_usable()).select("uid", "shard")
        for source in WRITTEN:
            is_empty = random.random(usable.height) < EMPTY_CAPTIONS
            captions = usable.with_columns(
                text=_texts(source, usable.height, random),
                candidate=pl.lit(0, pl.Int16),
                status=pl.Series(np.where(is_empty, STATUS_DEGENERATE, STATUS_OK)),
                reject_reason=pl.when(pl.Series(is_empty)).then(pl.lit("repeats_itself")),
            )
            at = {"source": source, "partition": partition}
            self._replace(SYNTHETIC_CAPTIONS, at, captions)
        self._score(partition, usable, random)
        vectors = self._vectors(usable.height, random)
        embedded = usable.with_columns(embedding=_packed(vectors.view(np.uint8)))
        at = {"scorer": "clip", "partition": partition}
        self._replace(IMAGE_EMBEDDINGS, at, embedded)

    def _samples(
        self, partition: str, images: list[Stored], random: np.random.Generator
    ) -> pl.DataFrame:
        drawn = random.random(self._rows)
        low = SET_ASIDE["too_small"]
        reason = np.where(drawn < low, "too_small", "undecodable")
        is_bad = pl.Series(drawn < sum(SET_ASIDE.values()))
        chosen = pl.DataFrame(images * -(-self._rows // len(images)), orient="row")[: self._rows]
        return pl.DataFrame(
            {"uid": _packed(np.frombuffer(random.bytes(16 * self._rows), np.uint8).reshape(-1, 16))}
        ).select(
            "uid",
            shard=pl.lit(int(partition), pl.Int32),
            key=pl.int_range(pl.len()).cast(pl.String).str.zfill(9),
            offset=chosen["offset"],
            size=chosen["size"],
            sha256=chosen["sha256"],
            image_format=pl.lit("JPEG"),
            width=pl.lit(64, pl.Int32),
            height=pl.lit(64, pl.Int32),
            text=_texts("raw", self._rows, random),
            status=pl.when(is_bad).then(pl.lit(STATUS_REJECTED)).otherwise(pl.lit(STATUS_OK)),
            reject_reason=pl.when(is_bad).then(pl.Series(reason)),
        )

    def _score(self, partition: str, usable: pl.DataFrame, random: np.random.Generator) -> None:
        keys = usable.with_columns(candidate=pl.lit(0, pl.Int16))
        for scorer, source in COLUMNS:
            at = {"scorer": scorer, "source": source, "partition": partition}
            centre = 0.22 if source == "raw" else 0.25
            drawn = random.normal(centre, 0.05, usable.height).astype(np.float32)
            scored = keys.with_columns(score=pl.Series(drawn))
            self._replace(CLIP_SCORES, at, scored)
            self._tables.replace(SCORE_HISTOGRAMS, at, score_histogram(scored["score"]))

    def _vectors(self, n: int, random: np.random.Generator) -> np.ndarray:
        rows = 1.2 * random.standard_normal((n, self._dimension), np.float32)
        rows += self._centres[random.integers(0, CENTRES, n)]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype("<f2")

    def _replace(self, table: Table, at: Mapping[str, str], rows: pl.DataFrame) -> None:
        """Write rows, of which columns that no page reads are null or nothing."""
        missing = [
            pl.lit(None if table.columns[name].nullable else _nothing(dtype), dtype).alias(name)
            for name, dtype in table.unsliced.items()
            if name not in rows.columns
        ]
        self._tables.replace(table, at, rows.with_columns(missing))


def _nothing(dtype: object) -> object:
    return bytes(32) if dtype == pl.Binary else "" if dtype == pl.String else 0


def _packed(rows: np.ndarray) -> pl.Series:
    """Rows of bytes as a binary column."""
    width = rows.shape[1]
    buffer = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, buffer])
    return pl.Series(array)


def _texts(source: str, n: int, random: np.random.Generator) -> pl.Series:
    """Captions, and in one of a hundred thousand raw ones a rare word."""
    parts = []
    for part in TEXTS[source].replace("}", "{").split("{"):
        if part in _WORDS:
            words = pl.Series(_WORDS[part].split())
            parts.append(words[pl.Series(random.integers(0, len(words), n))])
        else:
            parts.append(pl.lit(part))
    is_rare = pl.Series(random.random(n) < 1e-5) & pl.lit(source == "raw")
    text = pl.concat_str(parts)
    rare = pl.when(is_rare).then(pl.lit(f"a {RARE}")).otherwise(text)
    return pl.select(rare.alias("text"))["text"]


def build_mixes(project: Project) -> None:
    """Cut-offs and mixes, by the platform's own nodes."""
    nodes = mixes.nodes(project)
    for name in MIXES:
        write(nodes, THRESHOLDS.key(name), Step(""))
        for partition in project.partitions:
            write(nodes, CURATED_MIXES.key(name), Step(partition))


def write_model(project: Project, dimension: int) -> None:
    """An untrained model of the scorer, whose embeddings have the dimension of the drawn ones."""
    texts = [text for text in _texts("llava", 2_000, np.random.default_rng(0)) if text]
    trainee = SmallTrainee(SmallTower(embedding_dim=dimension), texts, (64, 64))
    folder = project.workspace.model("clip")
    folder.parent.mkdir(parents=True, exist_ok=True)
    trainee.save(folder)


def make(session: Session, folder: Path, partitions: int, rows: int, dimension: int) -> None:
    """Everything.

    Args:
        session: Of the experiment file.
        folder: Where the tars come.
        partitions: Of the pool, each one tar.
        rows: Samples of a partition.
        dimension: Of the embeddings.
    """
    images = write_tars(folder / "pool", partitions)
    session.project.scan()
    session.create_tables()
    pool = Pool(session.project, rows, dimension)
    for partition, stored in _beside(session.project, images):
        pool.write(partition, stored)
    write_model(session.project, dimension)
    build_mixes(session.project)


def _beside(project: Project, images: list[list[Stored]]) -> Iterator[tuple[str, list[Stored]]]:
    yield from zip(project.partitions, images, strict=True)
