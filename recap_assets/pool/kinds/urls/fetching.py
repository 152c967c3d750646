"""Fetching URLs by img2dataset as a subprocess: resumable, watched, its outcomes read back."""

import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recap_assets.pool.kinds.urls.reasons import NO_NETWORK, OPTED_OUT, reason_of
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.pool.kinds.urls.tool import find_python, quiet
from recap_assets.shards.files import PoolError

PROCESS = Path(__file__).with_name("img2dataset_process.py")
ROWS_PER_CHUNK = 1_000
"""What img2dataset takes for a shard: the unit of its processes, and of what a crash loses."""

POLL_SECONDS = 0.2
MAX_MESSAGE = 200
MANY = 10
FEW = 5
_FACTS = ("width", "height", "original_width", "original_height")

OUTCOME = pl.Schema(
    {
        "uid": pl.Binary,
        "status": pl.String,
        "reason": pl.String,
        "message": pl.String,
        "chunk": pl.String,
        "key": pl.String,
        "hash": pl.String,
        "exif": pl.String,
        **dict.fromkeys(_FACTS, pl.Int32),
    }
)
"""What became of a URL. chunk, key: the tar and the sample that hold the image. hash: hex, of the
bytes as served. width, height: of the image as stored."""


class DownloadError(PoolError):
    """Fetching did not come to its end, or nothing could be reached."""


@dataclass(frozen=True)
class Fetched:
    """What img2dataset gave: columns of OUTCOME for each row asked for, and the time it took."""

    outcomes: pl.DataFrame
    started: float
    seconds: float


def fetch(
    rows: pl.DataFrame, pool: UrlSpec, work: Path, progress: Callable[[float], None]
) -> Fetched:
    """Fetch rows of the list. What an earlier, killed call with the same rows finished is kept.

    Args:
        rows: Columns uid (unique), url, boxes, expected_hash.
        pool: How to fetch.
        work: A folder of these rows alone, kept until its images are in shards.
        progress: Told the done fraction.

    Raises:
        ToolMissingError: img2dataset is not installed.
        DownloadError: It failed, hung, or reached nothing at all.
    """
    started = time.time()
    if rows.is_empty():
        return Fetched(pl.DataFrame(schema=OUTCOME), started, 0.0)
    python = find_python()
    out = work / "out"
    out.mkdir(parents=True, exist_ok=True)
    remove_unfinished(out)
    n_chunks = math.ceil(rows.height / ROWS_PER_CHUNK)
    if len(finished(out)) < n_chunks:
        options = _write_list(rows, pool, work, n_chunks)
        _run([str(python), str(PROCESS), str(options)], pool, work, n_chunks, progress)
    if len(finished(out)) < n_chunks:
        msg = f"img2dataset left {n_chunks - len(finished(out))} of {n_chunks} parts unfinished"
        raise DownloadError(f"{msg}; build again to continue. Its last words: {_log_end(work)}")
    outcomes = _outcomes(rows, out, pool)
    _refuse_without_network(outcomes, work)
    return Fetched(outcomes, started, time.time() - started)


def finished(out: Path) -> list[str]:
    """Names of the parts whose statistics are whole: img2dataset writes them last."""
    return sorted(p.name.removesuffix("_stats.json") for p in out.glob("*_stats.json") if _whole(p))


def remove_unfinished(folder: Path) -> list[str]:
    """Delete tars that a killed img2dataset left without whole statistics; what they are called."""
    kept = set(finished(folder))
    gone = []
    for path in sorted(folder.glob("[0-9]*")):
        name = path.name.removesuffix("_stats.json").partition(".")[0]
        if name not in kept:
            path.unlink()
            gone.append(path.name)
    return gone


def _whole(stats: Path) -> bool:
    try:
        return isinstance(json.loads(stats.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _write_list(rows: pl.DataFrame, pool: UrlSpec, work: Path, n_chunks: int) -> Path:
    """Write what img2dataset reads, the list and its options; the options' path."""
    columns = {"url": pl.col("url"), "uid": pl.col("uid").bin.encode("hex")}
    is_blurred = rows["boxes"].null_count() < rows.height
    if is_blurred:
        columns["boxes"] = pl.col("boxes")
    if pool.verify_hash is not None:
        columns["expected_hash"] = pl.col("expected_hash")
    rows.select(**columns).write_parquet(work / "list.parquet", use_pyarrow=True)
    shutil.rmtree(work / "out" / "_tmp", ignore_errors=True)
    n_processes = min(pool.processes or os.cpu_count() or 1, n_chunks)
    options = {
        # A worker is replaced every few parts, since its memory grows; these need but one.
        "is_small": n_processes == 1 and n_chunks <= FEW,
        "deadline": pool.deadline,
        "max_bytes": pool.limits.max_bytes,
        "allow_private_addresses": pool.allow_private_addresses,
        "img2dataset": _options(pool, work, n_processes, is_blurred=is_blurred),
    }
    path = work / "options.json"
    path.write_text(json.dumps(options), encoding="utf-8")
    return path


def _options(pool: UrlSpec, work: Path, n_processes: int, *, is_blurred: bool) -> dict[str, object]:
    check = pool.verify_hash
    options: dict[str, object] = {
        "url_list": str(work / "list.parquet"),
        "output_folder": str(work / "out"),
        "input_format": "parquet",
        "output_format": "webdataset",
        "oom_shard_count": 8,
        "number_sample_per_shard": ROWS_PER_CHUNK,
        "save_additional_columns": ["uid"],
        "bbox_col": "boxes" if is_blurred else None,
        "verify_hash": ["expected_hash", check.algorithm] if check else None,
        "compute_hash": _algorithm(pool),
        "processes_count": n_processes,
        "thread_count": pool.threads,
        "max_image_area": pool.limits.max_pixels,
        "incremental_mode": "incremental",
        "enable_wandb": False,
    }
    same = (
        "image_size", "resize_mode", "resize_only_if_bigger", "encode_format", "encode_quality",
        "min_image_size", "extract_exif", "user_agent_token", "retries", "timeout",
    )  # fmt: skip
    options |= {name: getattr(pool, name) for name in same}
    options["disallowed_header_directives"] = list(pool.disallowed_header_directives)
    if pool.max_aspect_ratio is not None:
        options["max_aspect_ratio"] = pool.max_aspect_ratio
    return options


def _algorithm(pool: UrlSpec) -> str:
    return pool.verify_hash.algorithm if pool.verify_hash else "sha256"


def _run(
    command: list[str], pool: UrlSpec, work: Path, n_chunks: int, progress: Callable[[float], None]
) -> None:
    """Run img2dataset to its end, and end it where it hangs."""
    patience = _patience(pool)
    with _started(command, pool, work) as process:
        n_done, since = 0, time.monotonic()
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            # Counted by name: the parts' statistics are read once, at the end.
            n_now = sum(1 for _ in (work / "out").glob("*_stats.json"))
            if n_now > n_done:
                n_done, since = n_now, time.monotonic()
                progress(n_done / n_chunks)
            if time.monotonic() - since > patience:
                msg = (
                    f"img2dataset finished nothing in {patience:,.0f} s and was ended; what it had "
                    f"finished is kept: build again. Its last words: {_log_end(work)}"
                )
                raise DownloadError(msg)
    if process.returncode:
        msg = f"img2dataset failed with status {process.returncode}: {_log_end(work)}"
        raise DownloadError(msg)


def _patience(pool: UrlSpec) -> float:
    """Seconds in which a part is done even if every one of its requests takes its longest."""
    rounds = math.ceil(ROWS_PER_CHUNK / pool.threads) * (pool.retries + 1)
    return 300 + rounds * (pool.deadline + pool.timeout)


@contextmanager
def _started(command: list[str], pool: UrlSpec, work: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process in a group of its own, which has ended when the block has."""
    environment = {**quiet(), "OPENCV_IO_MAX_IMAGE_PIXELS": str(pool.limits.max_pixels)}
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own words and paths
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _log_end(work: Path) -> str:
    text = (work / "log.txt").read_text(encoding="utf-8", errors="replace")
    return " / ".join(line.strip() for line in text.splitlines()[-6:] if line.strip()) or "none"


def _outcomes(rows: pl.DataFrame, out: Path, pool: UrlSpec) -> pl.DataFrame:
    """An outcome for each row; what img2dataset does not mention gets a reason of its own."""
    found = [_read_part(out / f"{name}.parquet", pool) for name in finished(out)]
    reported = pl.concat(found)
    missing = rows.select("uid").join(reported, on="uid", how="anti").with_columns(
        status=pl.lit("failed_to_download"),
        reason=pl.lit("no_outcome"),
        message=pl.lit("img2dataset reported nothing about it"),
    )  # fmt: skip
    return pl.concat([reported, missing], how="diagonal")


def _read_part(path: Path, pool: UrlSpec) -> pl.DataFrame:
    table = pl.read_parquet(path)
    exif = pl.col("exif") if "exif" in table.columns else pl.lit(None)
    frame = table.select(
        pl.col("uid").str.decode("hex"),
        "status",
        message=pl.col("error_message").fill_null("").str.slice(0, MAX_MESSAGE),
        chunk=pl.lit(str(path.with_suffix(".tar"))),
        key="key",
        hash=_algorithm(pool),
        exif=exif,
        **{name: pl.col(name) for name in _FACTS},
    )
    pairs = frame.select("status", "message").iter_rows()
    reasons = [None if s == "success" else reason_of(s, m) for s, m in pairs]
    frame = frame.with_columns(reason=pl.Series(reasons, dtype=pl.String))
    opted_out = pl.col("reason") == OPTED_OUT
    status = pl.when(opted_out).then(pl.lit(OPTED_OUT)).otherwise("status")
    return frame.with_columns(status=status).select(
        pl.col(name).cast(dtype) for name, dtype in OUTCOME.items()
    )


def _refuse_without_network(outcomes: pl.DataFrame, work: Path) -> None:
    """Nothing reached at all says something of this machine, not of the list."""
    reasons = outcomes["reason"].fill_null("")
    if outcomes.height < MANY or not reasons.is_in(list(NO_NETWORK)).all():
        return
    # Else the next build would take these for the outcomes.
    shutil.rmtree(work)
    counts = ", ".join(f"{n:,} {r}" for r, n in reasons.value_counts(sort=True).iter_rows())
    msg = (
        f"none of {outcomes.height:,} URLs could be reached ({counts}): has this machine a "
        "network, and does it need a proxy (https_proxy)? Nothing was written"
    )
    raise DownloadError(msg)
