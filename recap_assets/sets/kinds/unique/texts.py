"""Near duplicates among the texts of a source: signatures of each partition, pairs of the pool."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import TEXT_SIGNATURES, UInt64s, first_texts, in_own_memory
from recap_assets.graph.stage import Node, Project, Rows, Step, StoredRows, first_texts_read
from recap_assets.sets.hashed_words import as_signed
from recap_assets.sets.kinds.unique.minhash import (
    alike,
    band_keys,
    bucket_pairs,
    same_keys,
    shingles,
)
from recap_assets.sets.kinds.unique.spec import UniqueSpec
from recap_assets.specs.base import deciding

VERSION = 1
STAGE = "sets"
SECONDS = 2.0
BANDS_AT_ONCE = 4
_BAND_BYTES = 8


def signatures_node(project: Project, name: str, spec: UniqueSpec) -> Node:
    """What near duplicates among texts are found by."""
    banded = ("ngram", "bands", "band_rows", "seed")
    by = {field: getattr(spec, field) for field in banded} if spec.jaccard < 1 else None
    return Node(
        key=TEXT_SIGNATURES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(first_texts_read(spec.source),),
        implementation=VERSION,
        decides=deciding(source=spec.source, by=by),
        compute=lambda step: sign_partition(project, spec, step),
        description=f"MinHash signatures of the texts of {spec.source}, for {name}.",
        content=StoredRows(project.workspace.tables, TEXT_SIGNATURES, {"set": name}),
        seconds=SECONDS,
        kinds=("numpy", "deltalake"),
    )


def sign_partition(project: Project, spec: UniqueSpec, step: Step) -> Rows:
    """Sign each text of a partition that has a word."""
    found = first_texts(project.workspace.tables, spec.source, step.partition).sort("uid")
    numbers, counts = shingles(found["text"], spec.ngram)
    packed = [b""] * found.height
    if spec.jaccard < 1:
        bands = band_keys(numbers, counts, spec.bands, spec.band_rows, spec.seed)
        packed = [one.tobytes() for one in bands.astype("<u8")]
    rows = found.select(
        "uid", same=as_signed(same_keys(found["text"])), bands=pl.Series(packed, dtype=pl.Binary)
    )
    return Rows(rows.filter(pl.Series(counts > 0)))


def alike_texts(
    project: Project, name: str, spec: UniqueSpec, uids: pl.Series
) -> NDArray[np.int64]:
    """Pairs of samples whose texts are alike, shape (n, 2): positions among the uids.

    Memory: some bands of all texts, 32 bytes each, and the texts of which any band is another's.
    """
    found = [np.empty((0, 2), np.int64)]
    for first in range(0, spec.bands, BANDS_AT_ONCE):
        bands = _bands(project, name, uids, first, min(BANDS_AT_ONCE, spec.bands - first))
        found += [bucket_pairs(bands[:, i]) for i in range(bands.shape[1])]
    pairs = np.unique(np.concatenate(found), axis=0)
    asked, places = np.unique(pairs, return_inverse=True)
    texts = _texts(project, spec, uids.gather(asked))
    numbers, counts = shingles(texts, spec.ngram)
    return asked[alike(places.reshape(-1, 2), numbers, counts, spec.jaccard)]


def _bands(project: Project, name: str, uids: pl.Series, first: int, n: int) -> UInt64s:
    """Bands `first` to `first + n` of each text, shape (texts, n)."""
    current = pl.col("partition").is_in(list(project.partitions))
    rows = project.workspace.tables.scan(TEXT_SIGNATURES, set=name).filter(current)
    part = pl.col("bands").bin.slice(_BAND_BYTES * first, _BAND_BYTES * n)
    signed = rows.select("uid", part).collect().unique("uid", keep="any")
    asked = uids.alias("uid").to_frame().join(signed, on="uid", how="left", maintain_order="left")
    return np.frombuffer(b"".join(asked["bands"]), "<u8").astype(np.uint64).reshape(-1, n)


def _texts(project: Project, spec: UniqueSpec, uids: pl.Series) -> pl.Series:
    asked = uids.alias("uid").to_frame()
    parts = [pl.DataFrame(schema={"uid": pl.Binary, "text": pl.String})]
    for partition in project.partitions:
        texts = first_texts(project.workspace.tables, spec.source, partition)
        parts.append(in_own_memory(texts.join(asked, on="uid", how="semi")))
    found = pl.concat(parts).unique("uid", keep="any")
    return asked.join(found, on="uid", how="left", maintain_order="left")["text"]
