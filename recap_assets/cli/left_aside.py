"""What of a pool is not read, said wherever people look."""

import polars as pl
from rich.console import Console

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.account import Account
from recap_assets.graph.project import Project
from recap_assets.pool.listing import left_aside
from recap_assets.untrusted.showing import one_line

REMEDIES = {
    "damaged_row": "rows of `pool.texts` have too few or too many fields, or are no JSON",
    "bad_uid": "a uid is 32 hex digits or a UUID; drop it from the json to take one of the image",
    "image_without_metadata": "the uids of `pool.metadata` are not those of the shards",
    "bad_tar_header": "the file is no tar, or damaged: download it again",
    "truncated_tar": "the tar is cut off: download it again",
    "missing_image": "a sample needs a .jpg, .jpeg, .png, .webp or .gif beside its text",
}


def print_left_aside(console: Console, project: Project) -> None:
    """Say which files of the pool are not read."""
    for sentence in left_aside(project.left_aside):
        console.print(f"pool: {sentence}", soft_wrap=True)


def nothing_usable(project: Project, account: Account) -> str | None:
    """Why a pool that was indexed has no sample to continue with; None where it has, or is none."""
    if account.what != RAW_POOL.key() or account.n_usable or not project.partitions:
        return None
    if not account.n_all:
        return "the pool has no sample at all: its shards are empty"
    rejected = project.workspace.tables.scan(RAW_POOL).filter(~is_usable())
    reason, n = max(account.rejected.items(), key=lambda item: item[1])
    example = rejected.filter(pl.col("reject_reason") == reason).select("key", "shard").head(1)
    key, shard = example.collect().row(0)
    name = project.shards[shard].name if shard in project.shards else str(shard)
    remedy = REMEDIES.get(reason)
    return (
        f"none of the pool's {account.n_all:,} samples can be used: {n:,} are {reason}, such as "
        f"{one_line(key, 200)} of shard {one_line(name, 200)}"
        + (f"; {remedy}" if remedy else "; see docs/tables.md for the reason")
    )
