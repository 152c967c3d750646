"""Which rows of the list each shard fetches: a row keeps its shard for life.

A row is known by its uid. An edit of the list therefore touches only the shards of rows that
changed or went; new rows go to new shards, so that nothing downstream of the others is redone.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import polars as pl

from recap_assets.pool.forgotten import REASON, is_refused, key_of, uid_of
from recap_assets.pool.kinds.urls.lists import ROWS, ListFile, list_files, read_list
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.shards.manifest import Shard
from recap_assets.specs.base import fingerprint_of
from recap_assets.storage.content import frame_version
from recap_assets.storage.files import write_atomically
from recap_assets.storage.refused import NOTHING_REFUSED, Refused
from recap_assets.storage.workspace import Workspace

FORMAT = 1
_READING = (
    "url_column", "caption_column", "uid_column", "save_additional_columns", "bbox_column",
    "verify_hash",
)  # fmt: skip


@dataclass(frozen=True)
class PlannedShard:
    """A shard to be: the version of its rows, and how many they are."""

    version: str
    n_rows: int


@dataclass(frozen=True)
class Plan:
    """The shards of a list.

    Attributes:
        reading: Hash of how the list is read; another one means that all of it is read again.
        files: Version and shard numbers of each file, by name.
        shards: The shards by number.
        next_number: Number of the next new shard; none is ever given twice.
    """

    reading: str = ""
    files: Mapping[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    shards: Mapping[int, PlannedShard] = field(default_factory=dict)
    next_number: int = 0

    def as_shards(self, folder: Path) -> dict[int, Shard]:
        """The shards as the rest of the platform knows them, before they exist."""
        return {
            number: Shard(
                name=shard_name(number),
                url=str(folder / f"{shard_name(number)}.tar"),
                size=0,
                version=planned.version,
                number=number,
            )
            for number, planned in sorted(self.shards.items())
        }


def shards_folder(workspace: Workspace, pool: UrlSpec) -> Path:
    """Folder of the shards that are fetched."""
    return Path(pool.shards).absolute() if pool.shards else workspace.downloads / "shards"


def shard_name(number: int) -> str:
    """Eight digits, as img2dataset names DataComp's shards."""
    return f"{number:08d}"


def read_plan(folder: Path) -> Plan:
    """The plan as it was made last; an empty one where there is none."""
    path = folder / "plan.json"
    try:
        return _read_plan(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return Plan()


def read_rows(folder: Path, number: int) -> pl.DataFrame:
    """The rows of one shard: columns of ROWS, sorted by uid and repeat."""
    return pl.read_parquet(_rows_path(folder, number)).cast(ROWS)


def make_plan(pool: UrlSpec, folder: Path, refused: Refused = NOTHING_REFUSED) -> Plan:
    """Look at the list, and bring the plan in line with it. Files that did not change are not read.

    Args:
        pool: Where the list is and how it is read.
        folder: Keeps `plan.json` and the rows of each shard.
        refused: What was forgotten; its rows are planned as rows that are never asked for.

    Raises:
        PoolError: There is no list, or a file of it cannot be read.
    """
    before = read_plan(folder)
    reading = fingerprint_of(*(json.dumps(pool.model_dump(mode="json")[n]) for n in _READING))
    known = before.files if before.reading == reading else {}
    files: dict[str, tuple[str, tuple[int, ...]]] = {}
    shards: dict[int, PlannedShard] = {}
    next_number = before.next_number
    for file in list_files(pool.urls):
        version, numbers = before.files.get(file.name, ("", ()))
        if file.name in known and version == file.version:
            planned = {number: before.shards[number] for number in numbers}
        else:
            planned = dict(_planned(file, pool, folder, numbers, next_number, before, refused))
        files[file.name] = (file.version, tuple(planned))
        shards |= planned
        next_number = max(next_number, *(number + 1 for number in planned), 0)
    plan = Plan(reading, files, shards, next_number)
    if plan != before:
        write_plan(folder, plan)
        for number in before.shards.keys() - shards.keys():
            _rows_path(folder, number).unlink(missing_ok=True)
    return plan


def _planned(
    file: ListFile,
    pool: UrlSpec,
    folder: Path,
    numbers: tuple[int, ...],
    next_number: int,
    before: Plan,
    refused: Refused,
) -> Iterator[tuple[int, PlannedShard]]:
    """The shards of a file, their rows written down."""
    listed = as_refused(read_list(file, pool), refused)
    rows = _assigned(listed, folder, numbers, next_number, pool.samples_per_shard)
    for (number,), part in sorted(rows.partition_by("shard", as_dict=True).items()):
        content = part.drop("shard").sort("uid", "repeat")
        planned = PlannedShard(frame_version(content), content.height)
        if before.shards.get(number) != planned or not _rows_path(folder, number).exists():
            write_rows(folder, number, content)
        yield number, planned


def write_rows(folder: Path, number: int, rows: pl.DataFrame) -> None:
    """Write the rows of one shard."""
    data = io.BytesIO()
    rows.write_parquet(data)
    write_atomically(_rows_path(folder, number), data.getvalue())


def as_refused(rows: pl.DataFrame, refused: Refused) -> pl.DataFrame:
    """The rows, those of forgotten samples without anything that says what they were.

    Args:
        rows: Columns of ROWS; those that are not known in a shard's rows may be missing.
        refused: What was forgotten.
    """
    if not refused:
        return rows
    keys = [
        key_of(refused, uid or b"", "") if is_refused(refused, uid, (), url) else None
        for uid, url in rows.select("uid", "url").iter_rows()
    ]
    gone = pl.Series(keys, dtype=pl.String).is_not_null()
    uids = pl.Series([uid_of(key) if key else None for key in keys], dtype=pl.Binary)
    of_row = ("url", "caption", "boxes", "expected_hash", "extra")
    return rows.with_columns(
        pl.coalesce(uids, "uid").alias("uid"),
        *(pl.when(~gone).then(name).alias(name) for name in of_row if name in rows.columns),
        refused=pl.when(gone).then(pl.lit(REASON)).otherwise("refused"),
    )


def _assigned(
    rows: pl.DataFrame, folder: Path, numbers: tuple[int, ...], next_number: int, size: int
) -> pl.DataFrame:
    """Adds the column shard: the one that the row had, or a new one of `size` rows."""
    place = {"uid": pl.Binary, "repeat": pl.Int32, "shard": pl.Int64}
    known = [
        read_rows(folder, number).select("uid", "repeat", shard=pl.lit(number, pl.Int64))
        for number in numbers
    ]
    rows = rows.join(
        pl.concat([pl.DataFrame(schema=place), *known]),
        on=("uid", "repeat"),
        how="left",
        maintain_order="left",
    )
    is_new = pl.col("shard").is_null()
    at = is_new.cast(pl.Int64).cum_sum() - 1
    return rows.with_columns(
        shard=pl.when(is_new).then(next_number + at // size).otherwise("shard")
    )


def _rows_path(folder: Path, number: int) -> Path:
    return folder / "rows" / f"{shard_name(number)}.parquet"


def write_plan(folder: Path, plan: Plan) -> None:
    """Make it the plan."""
    write_atomically(folder / "plan.json", _written(plan))


def _written(plan: Plan) -> bytes:
    content = {
        "format": FORMAT,
        "reading": plan.reading,
        "next_number": plan.next_number,
        "files": {name: [version, list(ns)] for name, (version, ns) in plan.files.items()},
        "shards": {number: [s.version, s.n_rows] for number, s in plan.shards.items()},
    }
    return json.dumps(content, indent=1).encode()


@lru_cache(maxsize=8)
def _read_plan(path: Path, _modified: int) -> Plan:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(
        content["reading"],
        {name: (version, tuple(ns)) for name, (version, ns) in content["files"].items()},
        {int(number): PlannedShard(*planned) for number, planned in content["shards"].items()},
        content["next_number"],
    )
