"""Finished shards: what was fetched, put together with what is kept of an earlier fetch.

img2dataset writes samples in the order in which servers answer, under keys that count from the
beginning of a run. A shard here has its samples by uid, so the same images give the same bytes, and
a row that leaves the list leaves the shard without anything being fetched again. The files are
img2dataset's: `NAME.tar`, `NAME.parquet` with a row for every row of the list, `NAME_stats.json`.
"""

import hashlib
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recap_assets.pool.kinds.urls.fetching import OUTCOME
from recap_assets.pool.kinds.urls.plan import shard_name
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.shards.files import LocalFile, PoolError
from recap_assets.shards.tar_index import Member, group_members, index_tar
from recap_assets.specs.base import fingerprint_of
from recap_assets.storage.files import write_atomically

SUCCESS = "success"
REFUSED = "refused"
_NEW = ".new"

Row = Mapping[str, object]


@dataclass(frozen=True)
class Effort:
    """What the last fetch took of a shard.

    Attributes:
        n_fetched: URLs asked for; the rest was there.
        started: When it began, in seconds since 1970.
        seconds: The shard's share of its time.
    """

    n_fetched: int
    started: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """What a finished shard holds.

    Attributes:
        n_rows: Rows of the list.
        counts: Rows by reason; those with an image under `success`.
        n_bytes: Bytes of the tar.
        failures: Columns uid, repeat, url, status, reason, message: the rows without an image.
    """

    n_rows: int
    counts: Mapping[str, int]
    n_bytes: int
    failures: pl.DataFrame


def requests_of(rows: pl.DataFrame, pool: UrlSpec) -> pl.Series:
    """Hash of all that decides an image, for each row: where it is equal, what is there is kept."""
    settings = fingerprint_of(json.dumps(deciding_of(pool), sort_keys=True))
    asked = rows.select("url", "boxes", "expected_hash").iter_rows()
    digests = [hashlib.sha256(repr((settings, *one)).encode()).hexdigest()[:16] for one in asked]
    return pl.Series("request", digests, dtype=pl.String)


def deciding_of(pool: UrlSpec) -> Mapping[str, object]:
    """The settings that decide an image's bytes, or whether it may be had."""
    names = (
        "verify_hash", "image_size", "resize_mode", "resize_only_if_bigger", "encode_format",
        "encode_quality", "min_image_size", "max_aspect_ratio", "extract_exif",
        "disallowed_header_directives", "user_agent_token", "allow_private_addresses", "limits",
    )  # fmt: skip
    values = pool.model_dump(mode="json")
    return {name: values[name] for name in names}


def own_folder(folder: Path, owner: str) -> None:
    """Take a folder for the shards of one pool: two would write over each other's.

    Args:
        folder: The folder.
        owner: Who writes there.

    Raises:
        PoolError: Another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / ".pool"
    if not mark.exists():
        write_atomically(mark, owner.encode())
    if (other := mark.read_text(encoding="utf-8")) != owner:
        msg = (
            f"pool.shards: {folder} is written by the pool of {other}. Name another folder, or "
            f"read those shards with `kind: webdataset`; if that pool moved here, delete {mark}"
        )
        raise PoolError(msg)


def is_finished(folder: Path, number: int) -> bool:
    """Whether a shard is whole: its statistics are written last, and say how long its tar is."""
    stats, tar = (_path(folder, number, ending) for ending in ("_stats.json", ".tar"))
    if not (stats.exists() and tar.exists() and _path(folder, number, ".parquet").exists()):
        return False
    try:
        return json.loads(stats.read_text(encoding="utf-8"))["bytes"] == tar.stat().st_size
    except (ValueError, KeyError, TypeError):
        return False


def recover(folder: Path, number: int) -> None:
    """Go on with a replacement that was interrupted, and delete what has no statistics."""
    endings = (".tar", ".parquet", "_stats.json")
    new = {ending: _path(folder, number, ending + _NEW) for ending in endings}
    if new["_stats.json"].exists():
        _put_in_place(new)
    for path in new.values():
        path.unlink(missing_ok=True)
    if not is_finished(folder, number):
        for ending in endings:
            _path(folder, number, ending).unlink(missing_ok=True)


def kept_outcomes(folder: Path, number: int, rows: pl.DataFrame) -> pl.DataFrame:
    """Outcomes of the rows whose image is in the shard already, asked for in the same way.

    Args:
        folder: The shards' folder.
        number: The shard.
        rows: Columns uid, repeat, refused, request.

    Returns:
        Columns of OUTCOME.
    """
    if not is_finished(folder, number):
        return pl.DataFrame(schema=OUTCOME)
    there = _stored(folder, number).filter(pl.col("status") == SUCCESS)
    wanted = rows.filter(pl.col("refused").is_null()).select("uid", "request")
    there = there.with_columns(pl.col("uid").str.decode("hex"))
    tar = str(_path(folder, number, ".tar"))
    return there.join(wanted, on=("uid", "request"), how="semi").select(
        pl.lit(tar).alias(name).cast(dtype) if name == "chunk" else pl.col(name).cast(dtype)
        for name, dtype in OUTCOME.items()
    )


def write_shard(
    folder: Path,
    number: int,
    rows: pl.DataFrame,
    outcomes: pl.DataFrame,
    pool: UrlSpec,
    effort: Effort,
) -> None:
    """Write a shard again, all of its files or none; one that would be the same is left alone.

    Args:
        folder: The shards' folder.
        number: The shard.
        rows: The rows of the list, with `request`, sorted by uid and repeat.
        outcomes: Columns of OUTCOME: of every row that is not refused.
        pool: How it was fetched.
        effort: What fetching took of it.
    """
    table = _joined(rows, outcomes)
    if is_finished(folder, number) and _as_stored(table).equals(_stored(folder, number)):
        return
    new = {e: _path(folder, number, e + _NEW) for e in (".tar", ".parquet", "_stats.json")}
    folder.mkdir(parents=True, exist_ok=True)
    lost = _write_tar(new[".tar"], table, pool)
    gone = pl.col("uid").is_in(lost) & (pl.col("status") == SUCCESS)
    table = table.with_columns(
        status=pl.when(gone).then(pl.lit("failed_to_download")).otherwise("status"),
        reason=pl.when(gone).then(pl.lit("no_outcome")).otherwise("reason"),
    )
    _as_stored(table).write_parquet(new[".parquet"])
    stats = {**_stats(table, effort), "bytes": new[".tar"].stat().st_size}
    for ending in (".tar", ".parquet"):
        with new[ending].open("rb") as file:
            os.fsync(file.fileno())
    # From here on an interrupted replacement is continued.
    write_atomically(new["_stats.json"], json.dumps(stats, indent=4).encode())
    _put_in_place(new)


def listed_rows(folder: Path, number: int) -> Iterator[tuple[str, str | None]]:
    """The uid in hex and the URL of every row of a finished shard."""
    yield from _stored(folder, number).select("uid", "url").iter_rows()


def without_samples(folder: Path, number: int, keys: Mapping[str, str], reason: str) -> None:
    """Take samples out of what is beside a tar, which has none of them already.

    Args:
        folder: The shards' folder.
        number: The shard.
        keys: By the key of each sample, its uid in hex, the uid of the row that stands for it.
        reason: Why it is refused.
    """
    table = _stored(folder, number)
    gone = pl.col("uid").is_in(sorted(keys))
    if not table.select(gone.any()).item():
        return
    kept = ("uid", "repeat", "status", "reason", "message")
    left = table.with_columns(
        *(pl.when(~gone).then(name).alias(name) for name in table.columns if name not in kept),
        uid=pl.col("uid").replace(dict(keys)),
        status=pl.when(gone).then(pl.lit(REFUSED)).otherwise("status"),
        reason=pl.when(gone).then(pl.lit(reason)).otherwise("reason"),
        message=pl.when(gone).then(pl.lit("")).otherwise("message"),
    )
    path = _path(folder, number, "_stats.json")
    before = json.loads(path.read_text(encoding="utf-8"))
    effort = Effort(before.get("fetched", 0), before["start_time"], before["duration"])
    stats = {**before, **_stats(left, effort)}
    data = io.BytesIO()
    left.sort("uid", "repeat").write_parquet(data)
    write_atomically(_path(folder, number, ".parquet"), data.getvalue())
    write_atomically(path, json.dumps(stats, indent=4).encode())


def summary(folder: Path, number: int) -> Summary:
    """What a finished shard holds."""
    table = _stored(folder, number)
    failures = table.filter(pl.col("status") != SUCCESS).select(
        pl.col("uid").str.decode("hex"), "repeat", "url", "status", "reason", "message"
    )
    counts = dict(table.select(_count()).to_series().value_counts().iter_rows())
    return Summary(table.height, counts, tar_path(folder, number).stat().st_size, failures)


@dataclass(frozen=True)
class Statistics:
    """What a shard's `_stats.json` says.

    Attributes:
        counts: Rows by reason, those with an image under `success`; none if it is unfinished.
        n_fetched: URLs asked for in the last fetch.
        seconds: The shard's share of the time of the last fetch.
    """

    counts: Mapping[str, int]
    n_fetched: int = 0
    seconds: float = 0.0


def statistics_of(folder: Path, number: int) -> Statistics:
    """The statistics of a shard."""
    path = _path(folder, number, "_stats.json")
    if not path.exists():
        return Statistics({})
    content = json.loads(path.read_text(encoding="utf-8"))
    return Statistics(content["status_dict"], content.get("fetched", 0), content["duration"])


def tar_path(folder: Path, number: int) -> Path:
    """Where a shard is."""
    return _path(folder, number, ".tar")


def delete_shard(folder: Path, number: int) -> None:
    """Delete a shard, its statistics first."""
    for ending in ("_stats.json", ".tar", ".parquet"):
        _path(folder, number, ending).unlink(missing_ok=True)


def _path(folder: Path, number: int, ending: str) -> Path:
    # Half-written files have a leading dot, by which readers of the folder leave them alone.
    dot = "." if ending.endswith(_NEW) else ""
    return folder / f"{dot}{shard_name(number)}{ending}"


def _put_in_place(new: Mapping[str, Path]) -> None:
    """Rename in an order in which an interruption can be continued: the statistics last."""
    for path in new.values():
        if path.exists():
            path.rename(path.with_name(path.name.removeprefix(".").removesuffix(_NEW)))


def _joined(rows: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Every row of the list with what became of it."""
    asked = rows.filter(pl.col("refused").is_null())
    refused = rows.filter(pl.col("refused").is_not_null()).with_columns(
        status=pl.lit(REFUSED), reason=pl.col("refused"), message=pl.lit("")
    )
    found = asked.join(outcomes, on="uid", how="left", maintain_order="left")
    table = pl.concat([found, refused], how="diagonal").drop("refused", "boxes", "expected_hash")
    return table.with_columns(pl.col("url").str.slice(0, 2048)).sort("uid", "repeat")


def _as_stored(table: pl.DataFrame) -> pl.DataFrame:
    """As it is in the shard's parquet: the sample's key is its uid, null where there is none."""
    uid = pl.col("uid").bin.encode("hex")
    key = pl.when(pl.col("status") == SUCCESS).then(uid)
    return table.drop("chunk").with_columns(uid, key=key)


def _stored(folder: Path, number: int) -> pl.DataFrame:
    return pl.read_parquet(_path(folder, number, ".parquet"))


def _count() -> pl.Expr:
    return pl.coalesce("reason", pl.lit(SUCCESS)).alias("reason")


def _stats(table: pl.DataFrame, effort: Effort) -> dict[str, object]:
    counts = Counter(table["status"].to_list())
    n_failed = counts["failed_to_download"] + counts["opted_out"] + counts[REFUSED]
    reasons = table.select(_count()).to_series().value_counts(sort=True)
    return {
        "count": table.height,
        "successes": counts[SUCCESS],
        "failed_to_download": n_failed,
        "failed_to_resize": counts["failed_to_resize"],
        "fetched": effort.n_fetched,
        "duration": effort.seconds,
        "start_time": effort.started,
        "end_time": effort.started + effort.seconds,
        "status_dict": dict(sorted(reasons.iter_rows())),
    }


def _write_tar(path: Path, table: pl.DataFrame, pool: UrlSpec) -> list[bytes]:
    """Write the samples, streaming; the uids of those whose image could not be found."""
    lost: list[bytes] = []
    good = table.filter(pl.col("status") == SUCCESS)
    with ExitStack() as stack, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        images = _Images(stack, pool.encode_format)
        for row in good.iter_rows(named=True):
            image = images.read(row["chunk"], row["key"])
            if image is None:
                lost.append(row["uid"])
                continue
            for name, content in _members(row, image, pool):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return lost


class _Images:
    """Images by tar and key; each tar is indexed once."""

    def __init__(self, stack: ExitStack, image_format: str) -> None:
        self._stack, self._format = stack, image_format
        self._open: dict[str, tuple[LocalFile, dict[str, Member]]] = {}

    def read(self, tar: str, key: str) -> bytes | None:
        if tar not in self._open:
            file = LocalFile(tar)
            self._stack.callback(file.close)
            samples = group_members(index_tar(file).members)
            places = {s.key: s.members[self._format] for s in samples if self._format in s.members}
            self._open[tar] = (file, places)
        file, places = self._open[tar]
        member = places.get(key)
        return file.read(member.offset, member.size) if member else None


def _members(row: Row, image: bytes, pool: UrlSpec) -> Iterator[tuple[str, bytes]]:
    uid = row["uid"]
    assert isinstance(uid, bytes)  # noqa: S101 - for the type checker
    key = uid.hex()
    caption = row["caption"]
    yield f"{key}.{pool.encode_format}", image
    if caption is not None:
        yield f"{key}.txt", str(caption).encode("utf-8", "replace")
    extra = json.loads(str(row["extra"])) if row["extra"] else {}
    algorithm = pool.verify_hash.algorithm if pool.verify_hash else "sha256"
    facts = ("width", "height", "original_width", "original_height")
    record = {
        **extra,
        "uid": key,
        "caption": caption,
        "url": row["url"],
        "key": key,
        "status": SUCCESS,
        "error_message": None,
        **{name: row[name] for name in facts},
        **({"exif": row["exif"]} if pool.extract_exif else {}),
        algorithm: row["hash"],
    }
    yield f"{key}.json", json.dumps(record, indent=4).encode()
