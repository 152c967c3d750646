"""Images fetched from a list of URLs by img2dataset, into shards that the raw pool reads."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import polars as pl

from recap_assets.artefacts.pool import DOWNLOAD_FAILURES, DOWNLOADED_SHARDS
from recap_assets.graph.account import Account
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredFiles
from recap_assets.graph.node import Leaving, Node, Outcome, Place, Step
from recap_assets.graph.project import Project
from recap_assets.pool.kinds.urls import shards
from recap_assets.pool.kinds.urls.fetching import Fetched, fetch
from recap_assets.pool.kinds.urls.forgetting import scrub_shard
from recap_assets.pool.kinds.urls.plan import read_rows, shards_folder
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.shards.manifest import partition_key
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version

VERSION = 1
STAGE = "pool"
SECONDS_PER_ROW = 0.01
ENOUGH_ALIVE = 0.5


def node_of(project: Project, pool: UrlSpec) -> Node:
    """The asset that fetches the shards."""
    return Node(
        key=DOWNLOADED_SHARDS.key(),
        stage=STAGE,
        dimension="pool",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(settings=shards.deciding_of(pool), attempt=pool.attempt),
        compute=lambda step: download_partition(project, pool, step),
        description="Images fetched from the list of URLs by img2dataset, resized, in tar "
        "shards; what gave no image is in the table download_failures with its reason. "
        "Materializing a partition again tries only what failed.",
        # What of the list the partition fetches.
        outside=lambda partition: _rows_version(project, partition),
        content=_content(project),
        seconds=SECONDS_PER_ROW * pool.samples_per_shard * pool.shards_per_partition,
        kinds=("img2dataset", "webdataset"),
        checks=(_mostly_alive(project),),
    )


def _content(project: Project) -> StoredFiles:
    return StoredFiles(
        lambda partition: _tars(project, partition)[0].parent,
        lambda partition: _tars(project, partition),
        lambda: project.partitions,
        beside=lambda partition: (Place(DOWNLOAD_FAILURES, {"partition": partition}),),
    )


def download_partition(project: Project, pool: UrlSpec, step: Step) -> Outcome:
    """Fetch what the partition lacks, and write its shards and the table of failures."""
    # A frozen pool's shards are where they were fetched to.
    folder = _tars(project, step.partition)[0].parent
    numbers = [shard.number for shard in project.partitions[step.partition]]
    fetched = None
    if not project.is_frozen:
        fetched = _bring_up_to_date(project, pool, numbers, step)
    found = {number: shards.summary(folder, number) for number in numbers}
    failures = [
        one.failures.with_columns(shard=pl.lit(number, pl.Int32)) for number, one in found.items()
    ]
    rows = pl.concat(failures).rename({"reason": "reject_reason"})
    written = project.workspace.tables.replace(
        DOWNLOAD_FAILURES,
        {"partition": step.partition},
        rows.select(pl.col(n).cast(t) for n, t in DOWNLOAD_FAILURES.schema.items() if n in rows),
        known_version=None,
        commit=step.commit,
    )
    return Outcome(
        files_version(_tars(project, step.partition), folder),
        sum(one.n_rows for one in found.values()),
        dict(sorted(rows["reject_reason"].value_counts().iter_rows())),
        facts=_facts(rows, found, fetched),
        written=(written,),
    )


def _bring_up_to_date(
    project: Project, pool: UrlSpec, numbers: Sequence[int], step: Step
) -> Fetched:
    """Fetch what the shards lack, and write those that are not as they should be."""
    folder = shards_folder(project.workspace, pool)
    if pool.shards is not None:
        shards.own_folder(folder, str(project.workspace.downloads))
    wanted: dict[int, pl.DataFrame] = {}
    kept: dict[int, pl.DataFrame] = {}
    for number in numbers:
        shards.recover(folder, number)
        rows = _without_repeats(read_rows(project.workspace.downloads, number), wanted)
        wanted[number] = rows.with_columns(shards.requests_of(rows, pool))
        kept[number] = shards.kept_outcomes(folder, number, wanted[number])
    missing = pl.concat(
        rows.filter(pl.col("refused").is_null())
        .join(kept[number], on="uid", how="anti")
        .with_columns(shard=pl.lit(number))
        for number, rows in wanted.items()
    ).sort("shard", "uid")
    work = _work_folder(folder, step.partition, missing)
    fetched = fetch(missing, pool, work, step.progress)
    for number, rows in wanted.items():
        new = _of(rows, fetched, kept[number])
        seconds = fetched.seconds * new.height / max(missing.height, 1)
        effort = shards.Effort(new.height, fetched.started, seconds)
        shards.write_shard(folder, number, rows, pl.concat([kept[number], new]), pool, effort)
        scrub_shard(project, folder, number)
    shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):
        work.parent.rmdir()  # unless another partition is being fetched
    return fetched


def _without_repeats(rows: pl.DataFrame, earlier: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
    """Refuse what an earlier shard of the partition asks for: another file of the list has it."""
    asked = [other.filter(pl.col("refused").is_null())["uid"] for other in earlier.values()]
    repeated = pl.col("uid").is_in(pl.concat(asked).implode()) if asked else pl.lit(value=False)
    word = pl.when(repeated).then(pl.lit("duplicate_uid"))
    return rows.with_columns(refused=pl.coalesce("refused", word))


def _of(rows: pl.DataFrame, fetched: Fetched, kept: pl.DataFrame) -> pl.DataFrame:
    """The outcomes that were fetched for one shard."""
    asked = rows.filter(pl.col("refused").is_null()).join(kept, on="uid", how="anti")
    return fetched.outcomes.join(asked, on="uid", how="semi")


def _work_folder(folder: Path, partition: str, missing: pl.DataFrame) -> Path:
    """Where img2dataset works on these very requests; what was left for other ones goes."""
    digest = hashlib.sha256("".join(missing["request"]).encode()).hexdigest()[:12]
    work = folder / ".fetching" / f"{partition}-{digest}"
    for old in work.parent.glob(f"{partition}-*"):
        if old != work:
            shutil.rmtree(old)
    return work


def _facts(
    failures: pl.DataFrame, found: Mapping[int, shards.Summary], fetched: Fetched | None
) -> dict[str, str | int | float]:
    statuses = Counter(failures["status"].to_list())
    n_rows = sum(one.n_rows for one in found.values())
    n_asked = n_rows - statuses["refused"]
    facts: dict[str, str | int | float] = {
        "successes": n_rows - failures.height,
        **{status: statuses[status] for status in sorted(statuses)},
        "opted_out": statuses["opted_out"],
        "dead_links_percent": round(100 * statuses["failed_to_download"] / max(n_asked, 1), 2),
        "bytes": sum(one.n_bytes for one in found.values()),
    }
    if fetched is not None:
        n_fetched = fetched.outcomes.height
        speed = n_fetched / fetched.seconds if fetched.seconds else 0.0
        facts |= {"fetched": n_fetched, "images_per_second": round(speed, 1)}
    return facts


def _rows_version(project: Project, partition: str) -> str:
    planned = [[shard.name, shard.version] for shard in project.partitions[partition]]
    return hashlib.sha256(json.dumps(planned).encode()).hexdigest()[:32]


def _tars(project: Project, partition: str) -> list[Path]:
    return [Path(shard.url) for shard in project.partitions[partition]]


def _mostly_alive(project: Project) -> Check:
    def mostly_alive(partitions: Sequence[str]) -> Verdict:
        counts: Counter[str] = Counter()
        for shard in (one for key in partitions for one in project.partitions[key]):
            counts.update(shards.statistics_of(Path(shard.url).parent, shard.number).counts)
        share = counts[shards.SUCCESS] / max(counts.total(), 1)
        return Verdict(share >= ENOUGH_ALIVE, {"fetched_share": share})

    return Check(
        "most_urls_gave_an_image",
        "At least half of the list gave an image.",
        mostly_alive,
        blocking=False,
    )


def account_of(project: Project) -> Account:
    """Every row of the list that was fetched so far."""
    counts: Counter[str] = Counter()
    n_fetched, seconds = 0, 0.0
    for shard in project.shards.values():
        found = shards.statistics_of(Path(shard.url).parent, shard.number)
        counts.update(found.counts)
        n_fetched += found.n_fetched
        seconds += found.seconds
    n_all = counts.total()
    n_good = counts.pop(shards.SUCCESS, 0)
    speed = n_fetched / seconds if seconds else None
    return Account(DOWNLOADED_SHARDS.key(), n_all, n_good, 0, dict(sorted(counts.items())), speed)


def gone(project: Project, pool: UrlSpec) -> Iterator[Leaving]:
    """Shards of which the list has no row any more."""
    if project.is_frozen:
        return
    folder = shards_folder(project.workspace, pool)
    for path in sorted(folder.glob("[0-9]" * 8 + ".tar")):
        if (number := int(path.stem)) not in project.shards:
            key = partition_key(number, pool.shards_per_partition)
            reason = f"shard {path.stem}: the list has it no more"
            remove = partial(shards.delete_shard, folder, number)
            yield Leaving(DOWNLOADED_SHARDS.key(), (key,), reason, remove)
