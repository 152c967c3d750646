"""What changes when an evaluation set does: its shards or row files, and the texts beside them.

Files count by size and time. Where they were hashed when they were evaluated (`looking`), one on
this machine that was touched since is hashed once more, and has its version while its bytes stay.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recap_assets.evalsets.rows import row_files
from recap_assets.evalsets.webdatasets import EvaluationSetError, SetFolder
from recap_assets.shards.files import version_of
from recap_assets.shards.manifest import ShardFile, survey_tars
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.datacomp import Protocol
from recap_assets.storage import places
from recap_assets.storage.settled import settled_version

SET_TEXTS = ("dataset_type.txt", "classnames.txt", "zeroshot_classification_templates.txt")
"""Files of a set beside its shards that decide a result."""


@dataclass(frozen=True)
class Looks:
    """How local files are looked at.

    Attributes:
        kept: The folder of what was found before.
        learns: Whether files that nothing is known of are hashed.
        writes: Whether what is found may be kept.
    """

    kept: Path
    learns: bool = False
    writes: bool = True


_looks: ContextVar[Looks | None] = ContextVar("looks", default=None)


@contextmanager
def looking(looks: Looks) -> Iterator[None]:
    """Within it versions of local files hold on while their bytes stay."""
    token = _looks.set(looks)
    try:
        yield
    finally:
        _looks.reset(token)


def _version(
    name: str, fs: AbstractFileSystem, path: str, info: Mapping[str, object] | None = None
) -> str:
    is_local = isinstance(fs, LocalFileSystem)
    listed = version_of(dict(info or fs.info(path)), path, is_local=is_local)
    return _settled(f"{name} {Path(path).name}", listed, path) if is_local else listed


def _settled(called: str, listed: str, path: str) -> str:
    """The version of a file, which is called the same wherever its set was copied to."""
    if (looks := _looks.get()) is None:
        return listed
    status = Path(path).stat()
    look = f"{listed} {status.st_ctime_ns} {status.st_ino}"
    return settled_version(
        looks.kept, f"evaluation {called}", look, listed, lambda: _hash(path),
        learns=looks.learns, writes=looks.writes,
    )  # fmt: skip


def _hash(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def set_versions(
    name: str, path: str, split: str, protocol: Protocol = "standard"
) -> Iterator[str]:
    """A line for each file of a set.

    Args:
        name: The task's.
        path: The folder of the set, a local path or an fsspec URL.
        split: The subfolder with the shards.
        protocol: How it is evaluated.

    Raises:
        PoolError: There are no shards.
    """
    folder = SetFolder.of(path)
    if protocol in ("retrieval", "winogavil") and (files := row_files(folder, split)):
        fs, _ = places.located(path)
        for file in files:
            yield f"{name} {file} {_version(name, fs, file)}"
        return
    for text in SET_TEXTS:
        if folder.has(text):
            yield f"{name} {text} {_file_version(name, folder, text)}"
    for shard in _shards(name, path, split):
        yield f"{name} {shard.name} {shard.version}"


def listed_versions(name: str, lists: str, images: str) -> Iterator[str]:
    """A line for each list of questions in a folder, and for each file of the folder of images.

    Args:
        name: The task's.
        lists: The folder with the lists (JSON), a local path or an fsspec URL.
        images: The folder of the images.

    Raises:
        EvaluationSetError: One of them is not there, or has none.
    """
    for folder, ending in ((lists, ".json"), (images, "")):
        fs, root = places.located(folder)
        found = fs.find(root.rstrip("/"), maxdepth=1, detail=True)
        paths = [path for path in sorted(found) if path.endswith(ending)]
        if not paths:
            what = f"{ending} file" if ending else "file"
            msg = f"evaluation.tasks.{name}: there is no {what} in {folder}. Correct the path"
            raise EvaluationSetError(msg)
        for path in paths:
            yield f"{name} {path} {_version(name, fs, path, found[path])}"


def file_versions(name: str, path: str, *beside: str) -> Iterator[str]:
    """A line for one file, and for files of its folder beside it that are there."""
    fs, root = places.located(path)
    for one in (root, *(f"{root.rpartition('/')[0]}/{other}" for other in beside)):
        if one == root or fs.exists(one):
            yield f"{name} {one} {_version(name, fs, one)}"


def shards_version(path: str, split: str) -> str:
    """What changes when the shards of a set do.

    Raises:
        PoolError: There are none.
    """
    return fingerprint_of(*(f"{shard.name} {shard.version}" for shard in _shards("", path, split)))


def _shards(name: str, path: str, split: str) -> Sequence[ShardFile]:
    named = f"evaluation.tasks.{name}.path" if name else "evaluation.tasks"
    found = survey_tars(f"{path.rstrip('/')}/{split}", named).shards
    return [_settled_shard(f"{name} {split}/{one.name}", one) for one in found]


def _settled_shard(called: str, shard: ShardFile) -> ShardFile:
    if not shard.stamp:
        return shard
    return replace(shard, version=_settled(called, shard.version, shard.url))


def _file_version(name: str, folder: SetFolder, text: str) -> str:
    fs, root = places.located(folder.path)
    return _version(name, fs, f"{root.rstrip('/')}/{text}")
