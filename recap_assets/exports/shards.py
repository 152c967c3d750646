"""Shards of an export: written once, remembered by what they hold, and found again after a kill."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from recap_assets.exports.forms import VERSION, Form
from recap_assets.exports.repeats import COPY
from recap_assets.exports.samples import Sample, key_of, shortest
from recap_assets.storage.content import frame_version
from recap_assets.storage.folders import Folder, WrittenFile

Images = Callable[[pl.DataFrame], Iterable[tuple[pl.DataFrame, Sequence[bytes | None]]]]
"""Batches of rows with the encoded image of each, None where the pool has it no more."""

IMAGE_CHANGED = "image_changed"
_PLACES = ("shard", "key", "offset")
NOBODY: Mapping[str, object] = {}


@dataclass(frozen=True)
class ShardRecord:
    """What one shard holds; kept beside it in JSON, and written after it.

    Attributes:
        shard: Its path below the export's folder.
        successes: Samples in it; DataComp's name.
        pairs: Pairs of the mix that they stand for.
        weight: Mean weight of its samples.
        plan: Hash of the rows and the form that decide its bytes.
        sources: Samples by the source of their text.
        left_out: Why a sample of the plan is not in it, by key.
        files: Its files.
    """

    shard: str
    successes: int
    pairs: int
    weight: float
    plan: str
    sources: Mapping[str, int]
    left_out: Mapping[str, str]
    files: tuple[WrittenFile, ...]

    def as_json(self) -> bytes:
        """The record's file."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ShardRecord":
        """From what `as_json` wrote.

        Raises:
            KeyError, TypeError: It wrote something else.
        """
        files = tuple(WrittenFile(**file) for file in values["files"])
        return cls(**{**values, "files": files})


def write_shard(
    folder: Folder,
    form: Form,
    number: int,
    rows: pl.DataFrame,
    images: Images,
    below: str = "",
    by: Mapping[str, object] = NOBODY,
) -> tuple[ShardRecord, list[WrittenFile]]:
    """Write one shard, or find that it is there already with just these rows.

    A finished shard is known by its record: the same plan, and files of the sizes that it names. Of
    the samples their bytes count, and not their places in the pool.

    Args:
        folder: The export's folder.
        form: How it is written.
        number: Its number in the folder `below`.
        rows: Its samples, in their order.
        images: Where their bytes come from.
        below: The folder of shards below the export's folder.
        by: What decides bytes beside the form: who gives it, where that is another package.

    Returns:
        Its record, and its files with the record's own.
    """
    record_name = joined(below, form.record_name(number))
    plan = _plan_of(form, number, rows if by else _without_places(rows), by)
    # Shards from before 2026-12 were known by the places, too.
    if (
        found := _finished(folder, record_name, {plan, _plan_of(form, number, rows, by)})
    ) is not None:
        content = found.as_json()
        own = WrittenFile(record_name, hashlib.sha256(content).hexdigest(), len(content))
        return found, [*found.files, own]
    # Without its record the shard counts as unfinished while it is written again.
    folder.remove([record_name])
    left_out: dict[str, str] = {}
    inside = Folder(joined(folder.url, below)) if below else folder
    files = form.write(inside, number, _samples(rows, images, left_out, form))
    files = [WrittenFile(joined(below, f.name), f.sha256, f.size) for f in files]
    shard = joined(below, form.shard_name(number))
    record = _record(shard, rows, plan, left_out, files)
    return record, [*files, folder.write(record_name, record.as_json())]


def joined(below: str, name: str) -> str:
    """A path below a folder of shards, which may be the export's own folder."""
    return f"{below}/{name}" if below else name


def written_samples(rows: pl.DataFrame, record: ShardRecord) -> pl.DataFrame:
    """The rows that the shard holds: without those that were left out while it was written."""
    if not record.left_out:
        return rows
    keys = pl.Series([key_of(row) for row in rows.select("uid", "k").iter_rows(named=True)])
    return rows.filter(~keys.is_in(list(record.left_out)))


def _plan_of(form: Form, number: int, rows: pl.DataFrame, by: Mapping[str, object]) -> str:
    order = rows.with_row_index("place")
    beside = [part for part in (form.options, by) if part]
    said = json.dumps([VERSION, type(form).__name__, form.with_images, number, *beside])
    return hashlib.sha256(f"{said} {frame_version(order)}".encode()).hexdigest()[:32]


def _without_places(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without where the pool has their images, where a hash says which they are."""
    places = [name for name in _PLACES if name in rows.columns]
    return rows if rows["sha256"].null_count() else rows.drop(places)


def _finished(folder: Folder, record_name: str, plans: Collection[str]) -> ShardRecord | None:
    content = folder.read(record_name)
    if content is None:
        return None
    try:
        record = ShardRecord.of(json.loads(content))
    except (ValueError, TypeError, KeyError):
        return None  # damaged, or of another version: the shard is written again
    if record.plan not in plans:
        return None
    return record if all(folder.size(f.name) == f.size for f in record.files) else None


def _samples(
    rows: pl.DataFrame, images: Images, left_out: dict[str, str], form: Form
) -> Iterator[Sample]:
    if not form.with_images:
        yield from (Sample(row, None) for row in rows.iter_rows(named=True))
        return
    for batch, contents in images(rows):
        for row, content in zip(batch.iter_rows(named=True), contents, strict=True):
            if content is None:
                left_out[key_of(row)] = IMAGE_CHANGED
            else:
                yield Sample(row, content)


def _record(
    shard: str,
    rows: pl.DataFrame,
    plan: str,
    left_out: Mapping[str, str],
    files: Sequence[WrittenFile],
) -> ShardRecord:
    found = ShardRecord(shard, 0, 0, 0.0, plan, {}, dict(left_out), tuple(files))
    kept = written_samples(rows, found)
    n_pairs = _pairs_in(kept)
    mean = kept["weight"].cast(pl.Float64).mean()
    return ShardRecord(
        shard=shard,
        successes=kept.height,
        pairs=n_pairs,
        weight=shortest(float(mean)) or 0.0 if mean is not None else 0.0,  # type: ignore[arg-type]
        plan=plan,
        sources=dict(sorted(Counter(kept["source"]).items())),
        left_out=dict(sorted(left_out.items())),
        files=tuple(files),
    )


def _pairs_in(samples: pl.DataFrame) -> int:
    """The pairs that samples stand for; of copies of one, the first counts."""
    firsts = samples.filter(pl.col(COPY) == 0) if COPY in samples.columns else samples
    if "pairs" in firsts.columns:
        return int(firsts["pairs"].list.len().sum())
    return firsts.height
