"""What changes when an evaluation set does: its shards or row files, and the texts beside them."""

from collections.abc import Iterator, Sequence

from fsspec.implementations.local import LocalFileSystem

from recap_assets.evalsets.rows import row_files
from recap_assets.evalsets.webdatasets import SetFolder
from recap_assets.shards.files import version_of
from recap_assets.shards.manifest import ShardFile, survey_tars
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.datacomp import Protocol
from recap_assets.storage import places

SET_TEXTS = ("dataset_type.txt", "classnames.txt", "zeroshot_classification_templates.txt")
"""Files of a set beside its shards that decide a result."""


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
        is_local = isinstance(fs, LocalFileSystem)
        for file in files:
            yield f"{name} {file} {version_of(fs.info(file), file, is_local=is_local)}"
        return
    for text in SET_TEXTS:
        if folder.has(text):
            yield f"{name} {text} {_file_version(folder, text)}"
    for shard in _shards(path, split):
        yield f"{name} {shard.name} {shard.version}"


def listed_versions(name: str, lists: str, images: str) -> Iterator[str]:
    """A line for each list of questions in a folder, and for each file of the folder of images.

    Args:
        name: The task's.
        lists: The folder with the lists (JSON), a local path or an fsspec URL.
        images: The folder of the images.
    """
    for folder, ending in ((lists, ".json"), (images, "")):
        fs, root = places.located(folder)
        is_local = isinstance(fs, LocalFileSystem)
        found = fs.find(root.rstrip("/"), maxdepth=1, detail=True)
        for path in sorted(found):
            if path.endswith(ending):
                yield f"{name} {path} {version_of(found[path], path, is_local=is_local)}"


def file_versions(name: str, path: str, *beside: str) -> Iterator[str]:
    """A line for one file, and for files of its folder beside it that are there."""
    fs, root = places.located(path)
    is_local = isinstance(fs, LocalFileSystem)
    for one in (root, *(f"{root.rpartition('/')[0]}/{other}" for other in beside)):
        if one == root or fs.exists(one):
            yield f"{name} {one} {version_of(fs.info(one), one, is_local=is_local)}"


def shards_version(path: str, split: str) -> str:
    """What changes when the shards of a set do.

    Raises:
        PoolError: There are none.
    """
    return fingerprint_of(*(f"{shard.name} {shard.version}" for shard in _shards(path, split)))


def _shards(path: str, split: str) -> Sequence[ShardFile]:
    return survey_tars(f"{path.rstrip('/')}/{split}").shards


def _file_version(folder: SetFolder, name: str) -> str:
    fs, root = places.located(folder.path)
    path = f"{root.rstrip('/')}/{name}"
    return version_of(fs.info(path), path, is_local=isinstance(fs, LocalFileSystem))
