"""What crashes and edits leave on the disk beside the tables, and its removal."""

import os
import re
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from recap_assets.captions.reply_cache import ReplyCache
from recap_assets.evalsets.image_cache import ImageCache
from recap_assets.graph.node import Graph
from recap_assets.graph.parts import StoredParts, all_parts
from recap_assets.graph.records import Records
from recap_assets.graph.versions import VersionReader
from recap_assets.storage.workspace import Workspace

UNTOUCHED = timedelta(days=1)
"""What was written to more recently may belong to a process that still runs."""

UNREAD = timedelta(days=7)
"""An image of an evaluation set that nobody has read for so long is decoded again when it is."""

Kind = Literal["scratch", "parts", "temporary", "checkpoint", "images", "replies"]

# Names that storage/files.py and engines/training/checkpoints.py give to what is not whole yet.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}|.+\.\d+\.tmp")
_TEMPORARY_FOLDER = re.compile(r"\..+\.([a-z0-9_]{8}|old)")
_CHECKPOINT = re.compile(r"(\d+)\.checkpoint(\.corrupt)?")


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs any more.

    Attributes:
        kind: `scratch`: finished shards of a partition that would now be built otherwise; `parts`:
            the same, of workers, beside the tables;
            `temporary`: what a process was writing when it died; `checkpoint`: of a training run
            that is finished; `images`: of evaluation sets, as models took them; `replies`: of
            captioning servers, in a store that stays.
        path: Where it is; of parts a folder as text, which may be an object store's URL.
        n_bytes: Bytes of it, or of all files in it.
        n: Things that go; replies may be many in one file.
    """

    kind: Kind
    path: Path | str
    n_bytes: int
    n: int = 1


def leftovers(
    workspace: Workspace, resumable: Collection[str], *, untouched: timedelta = UNTOUCHED
) -> list[Leftover]:
    """Everything of one workspace that nothing needs any more, by kind and path.

    The images are those of all experiments.

    Args:
        workspace: The workspace; its tables and Dagster's storage are not read. Parts beside the
            tables are found where they are, in an object store too.
        resumable: Fingerprints whose finished shards the next build continues from.
        untouched: What anything was written to for less long than this is left alone.
    """
    limit = time.time() - untouched.total_seconds()
    aside = {workspace.scratch, workspace.instance, workspace.root / "tables"}
    found: dict[Kind, list[Path]] = {
        "scratch": list(_scratch(workspace, resumable)),
        "temporary": [
            *_temporary(workspace.root, aside),
            *_temporary(workspace.latest_report.parent, ()),
        ],
        "checkpoint": list(_checkpoints(workspace)),
        "images": ImageCache(workspace.evaluation_images, 0).unused(UNREAD),
    }
    files = [
        Leftover(kind, path, n_bytes)
        for kind, paths in found.items()
        for path in sorted(paths)
        for n_bytes, newest in [_size_and_time(path)]
        if newest < limit
    ]
    parts = [
        Leftover("parts", one.parts.root, one.n_bytes)
        for one in all_parts(workspace.tables.root)
        if one.newest < limit and one.fingerprint not in resumable
    ]
    return files + parts


def old_replies(workspace: Workspace, days: int | None) -> list[Leftover]:
    """Replies of captioning servers that are this number of days old; None: none is."""
    if days is None or not workspace.replies.exists():
        return []
    with ReplyCache(workspace.replies) as kept:
        n, n_all = kept.count(timedelta(days=days)), kept.count()
    n_bytes = workspace.replies.stat().st_size * n // max(n_all, 1)
    return [Leftover("replies", workspace.replies, n_bytes, n)] if n else []


def remove_old_replies(workspace: Workspace, days: int | None) -> None:
    """Remove them; what is asked again is then paid for again."""
    if days is not None and workspace.replies.exists():
        with ReplyCache(workspace.replies) as kept:
            kept.remove(timedelta(days=days))


def remove(found: Collection[Leftover]) -> None:
    """Remove leftovers; one that is gone already is no error."""
    for path in (leftover.path for leftover in found):
        if isinstance(path, str):
            StoredParts(path).clear()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def resumable_fingerprints(workspace: Workspace, graph: Graph, records: Records) -> set[str]:
    """Fingerprints that the assets with finished shards have by the present specs and inputs."""
    reader = VersionReader(graph, records)
    of_workers = {one.asset for one in all_parts(workspace.tables.root)}
    return {
        reader.fingerprint(node, partition)
        for node in graph.nodes.values()
        if node.key in of_workers or (workspace.scratch / node.key).is_dir()
        for partition in graph.partitions(node)
    }


def _scratch(workspace: Workspace, resumable: Collection[str]) -> Iterator[Path]:
    for folder, names, files in os.walk(workspace.scratch):
        path = Path(folder)
        if files and not names and path.name.partition("-")[0] not in resumable:
            yield path


def _temporary(root: Path, aside: Collection[Path]) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        here = Path(folder)
        broken = [name for name in names if _TEMPORARY_FOLDER.fullmatch(name)]
        yield from (here / name for name in files if _TEMPORARY.fullmatch(name))
        yield from (here / name for name in broken)
        names[:] = [name for name in names if name not in broken and here / name not in aside]


def _checkpoints(workspace: Workspace) -> Iterator[Path]:
    # The model is put in place after the last checkpoint, so the run is finished if it is newer.
    for path in workspace.trained.glob("*/*.checkpoint*"):
        match = _CHECKPOINT.fullmatch(path.name)
        model = path.with_name(match[1]) if match else None
        if model and model.is_dir() and model.stat().st_mtime >= path.stat().st_mtime:
            yield path


def _size_and_time(path: Path) -> tuple[int, float]:
    """Bytes, and when anything of it was last written to."""
    try:
        found = [path.lstat()]
        if path.is_dir() and not path.is_symlink():
            found += [inside.lstat() for inside in path.rglob("*")]
    except FileNotFoundError:
        return 0, float("inf")  # somebody is at work there
    files = [entry.st_size for entry in found if not stat.S_ISDIR(entry.st_mode)]
    return sum(files), max(entry.st_mtime for entry in found)
