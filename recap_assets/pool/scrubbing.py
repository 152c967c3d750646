"""Forgotten samples taken out of the shards that the platform wrote itself."""

from collections.abc import Iterable
from pathlib import Path

from recap_assets.graph.project import Project
from recap_assets.pool.forgotten import is_refused, key_of
from recap_assets.shards.blanking import blank
from recap_assets.shards.manifest import Shard


def scrub(project: Project, shards: Iterable[Shard]) -> int:
    """Take what was forgotten out of tars that are ours to write to; what is in none is no error.

    Args:
        project: The experiment, whose pool reads them.
        shards: The tars, local ones.

    Returns:
        Samples that were replaced by zeros.
    """
    return sum(_scrub_one(project, shard) for shard in shards)


def forgotten_in(project: Project, shard: Shard) -> dict[str, str]:
    """By the key of each sample of a tar that was forgotten what its members are to be named."""
    refused, path = project.workspace.refused, Path(shard.url)
    if not (refused and path.exists()):
        return {}
    return {
        row.key: key_of(refused, row.uid or b"", row.key)
        for row in project.pool.index(shard, {})
        if is_refused(refused, row.uid, (row.sha256, row.original_sha256), row.url)
    }


def _scrub_one(project: Project, shard: Shard) -> int:
    if names := forgotten_in(project, shard):
        blank(Path(shard.url), names)
    return len(names)
