"""One sample of an export: its key, its extension, and what is said of it."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recap_assets.specs.exports import EXTENSIONS

CAPTION = pl.Struct(
    {"source": pl.String, "candidate": pl.Int16, "text": pl.String, "score": pl.Float32}
)
PAIR = pl.Struct({**CAPTION.to_schema(), "weight": pl.Float32, "rule": pl.Int16})

_AS_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True)

Row = Mapping[str, Any]
"""A row of `ExportRows.samples`, as a dict."""


class Sample(NamedTuple):
    """A row of an export and its image's encoded bytes, None where images are not written."""

    row: Row
    image: bytes | None

    @property
    def key(self) -> str:
        """`{uid}-{k}`, as DataComp's resharder writes a uid that is listed several times."""
        return key_of(self.row)

    @property
    def extension(self) -> str:
        """By the content, whatever the pool called it."""
        return EXTENSIONS[self.row["image_format"]]


def key_of(row: Row) -> str:
    """`{uid}-{k}`: hex digits only, so that nothing which a pool names is ever a path."""
    return f"{row['uid'].hex()}-{row['k']}"


def metadata_of(row: Row) -> dict[str, object]:
    """What a sample's json says, in plain values.

    `uid` is what DataComp's resharder reads. For each source `caption_<source>` holds its best
    caption as a plain string at the top: open_clip's `--json-text-key 'caption_a;caption_raw'`
    reads such fields. `captions` has all of them, with candidates and scores.
    """
    found: dict[str, object] = {
        "uid": row["uid"].hex(),
        "sha256": row["sha256"].hex() if row["sha256"] else None,
        "url": row["url"],
        "width": row["width"],
        "height": row["height"],
        "original_width": row["original_width"],
        "original_height": row["original_height"],
        "source": row["source"],
        "candidate": row["candidate"],
        "score": shortest(row["score"]),
        "weight": shortest(row["weight"]),
        "rule": row["rule"],
        "captions": [_plain(caption) for caption in row["captions"] or ()],
    }
    if "pairs" in row:
        found["pairs"] = [_plain(pair) for pair in row["pairs"]]
    found.update(best_captions(row))
    return found


def told_as_json(row: Row) -> bytes:
    """What a sample's json says, the same bytes for the same row."""
    return _AS_JSON.encode(metadata_of(row)).encode()


def best_captions(row: Row) -> dict[str, str]:
    """`caption_<source>`: of several candidates the one with the highest score, ties to the first.

    As in a mix, a candidate without a score ranks last.
    """
    return {f"caption_{name}": found[0]["text"] for name, found in ranked_captions(row).items()}


def ranked_captions(row: Row) -> dict[str, list[Mapping[str, Any]]]:
    """The captions of each source, the best first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for caption in row["captions"] or ():
        found.setdefault(caption["source"], []).append(caption)
    return {source: sorted(those, key=_rank) for source, those in found.items()}


def _rank(caption: Mapping[str, Any]) -> tuple[float, int, str]:
    score = -math.inf if caption["score"] is None else caption["score"]
    return -score, caption["candidate"], caption["text"]


def shortest(value: float | None) -> float | None:
    """A float32 with as few digits as distinguish it from its neighbours."""
    return None if value is None else float(str(np.float32(value)))


def _plain(values: Mapping[str, Any]) -> dict[str, object]:
    return {
        name: shortest(value) if isinstance(value, float) else value
        for name, value in values.items()
    }


def in_groups(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    """Lists of `size` samples, the last one shorter."""
    group: list[Sample] = []
    for sample in samples:
        group.append(sample)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
