"""Forgotten samples of a list of URLs: rows that are never asked for, and images that are zeros."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from recap_assets.graph.project import Project
from recap_assets.pool.forgotten import REASON, key_of, uid_of
from recap_assets.pool.kinds.urls import plan, shards
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.pool.scrubbing import forgotten_in
from recap_assets.shards.blanking import blank
from recap_assets.shards.manifest import Shard
from recap_assets.storage.content import frame_version
from recap_assets.untrusted.uid_forms import parse_uid


def forget(project: Project, pool: UrlSpec, numbers: Collection[int]) -> int:
    """Take forgotten samples out of the planned rows and out of the shards that were fetched.

    Args:
        project: The experiment.
        pool: Its list.
        numbers: Shards that have an image of one; of the others only what is beside them is read.

    Returns:
        Rows and samples that were replaced.
    """
    n_rows = _forget_rows(project)
    folder = plan.shards_folder(project.workspace, pool)
    return n_rows + sum(
        scrub_shard(project, folder, number, looks=number in numbers) for number in project.shards
    )


def scrub_shard(project: Project, folder: Path, number: int, *, looks: bool = True) -> int:
    """Take forgotten samples out of one fetched shard; how many there were.

    Args:
        project: The experiment.
        folder: The shards' folder.
        number: The shard.
        looks: Whether its images are searched, and not only the rows beside them.
    """
    refused = project.workspace.refused
    if not (refused and shards.is_finished(folder, number)):
        return 0
    tar = shards.tar_path(folder, number)
    shard = Shard(plan.shard_name(number), str(tar), 0, "fetched", number)
    names = forgotten_in(project, shard) if looks else {}
    keys = {uid: uid_of(name).hex() for uid, name in names.items()}
    for uid, url in shards.listed_rows(folder, number):
        if refused.refuses("uid", parse_uid(uid)) or refused.refuses("url", url):
            keys[uid] = uid_of(key_of(refused, parse_uid(uid) or b"", "")).hex()
    # The tar last: of an image that is zeros already nothing says whose it was.
    shards.without_samples(folder, number, keys, REASON)
    if names:
        blank(tar, names)
    return len(keys)


def _forget_rows(project: Project) -> int:
    """Rewrite the planned rows, and the plan that names their versions, rows first."""
    folder, refused = project.workspace.downloads, project.workspace.refused
    before = plan.read_plan(folder)
    planned = dict(before.shards)
    n_rows = 0
    for number in before.shards:
        rows = plan.read_rows(folder, number)
        left = plan.as_refused(rows, refused).sort("uid", "repeat")
        if not left.equals(rows):
            n_rows += left.join(rows, on=["uid", "repeat"], how="anti").height
            plan.write_rows(folder, number, left)
        planned[number] = plan.PlannedShard(frame_version(left), left.height)
    if planned != before.shards:
        plan.write_plan(folder, replace(before, shards=planned))
    return n_rows
