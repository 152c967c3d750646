"""Embeddings of the images that an image-based set is to be near to."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from recap_assets.artefacts.world import task_key
from recap_assets.evalsets.sets import AssociationSet, load_set
from recap_assets.graph.loaded import loaded_scorer
from recap_assets.graph.node import Dependency, ForAll
from recap_assets.graph.outside import Outside, both, outside_of
from recap_assets.graph.project import Setting
from recap_assets.scores.assets import trained_by
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS
from recap_assets.shards.images import ImageRejected, decode
from recap_assets.shards.manifest import list_shards
from recap_assets.shards.reading import DECODED_BYTES
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.evaluation import EmbeddedTask
from recap_assets.specs.pool import ImageLimits, WebDatasetPool
from recap_assets.specs.sets import ImageBased, Target, TargetEmbeddings, TargetImages, TargetTask
from recap_assets.untrusted.arrays import Archive, read_header
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.files import check_regular

ROWS_AT_ONCE = 8_192
IMAGES_AT_ONCE = 256
LIMITS = ImageLimits()


class TargetError(RecapError, ValueError):
    """The target images cannot be used. The text names the file and says why."""


def target_dependencies(setting: Setting, spec: ImageBased) -> tuple[Dependency, ...]:
    """The assets that the target is read from or embedded by."""
    if isinstance(spec.target, TargetEmbeddings):
        return ()
    made: list[Dependency] = [*trained_by(setting.experiment.scorers[spec.scorer])]
    if isinstance(spec.target, TargetTask):
        task = setting.experiment.evaluation.tasks[spec.target.task]
        if isinstance(task, EmbeddedTask):
            made.append(Dependency(task_key(spec.target.task), "all"))
    return tuple(made)


def what_embeds(setting: Setting, spec: ImageBased) -> dict[str, object]:
    """What of the scorer decides the embeddings; nothing where they are given."""
    if isinstance(spec.target, TargetEmbeddings):
        return {"key": spec.target.key}
    return dict(setting.experiment.scorers[spec.scorer].decides())


def target_outside(setting: Setting, spec: ImageBased) -> Outside | None:
    """Version of the target's files, and of those that the scorer which embeds them is in."""
    target = spec.target
    if isinstance(target, TargetEmbeddings):
        return outside_of(setting, target)
    embedded_by = outside_of(setting, setting.experiment.scorers[spec.scorer])
    if isinstance(target, TargetTask):
        return both(embedded_by, _task_outside(setting, target.task))
    return both(embedded_by, outside_of(setting, target))


def _task_outside(setting: Setting, name: str) -> Outside | None:
    task = setting.experiment.evaluation.tasks[name]
    if isinstance(task, EmbeddedTask):
        return None

    def version() -> str:
        folder = f"{task.path.rstrip('/')}/{task.split}"
        shards = list_shards(WebDatasetPool(kind="webdataset", shards=folder))
        return fingerprint_of(*(f"{shard.name} {shard.version}" for shard in shards))

    return ForAll(version)


def check_given(target: Target) -> None:
    """Find what is wrong with a target that lies in files, without embedding anything.

    Raises:
        TargetError: There is no file, or one is not what it should be.
    """
    if isinstance(target, TargetImages):
        _images(target)
    elif isinstance(target, TargetEmbeddings):
        for path in _arrays(target):
            _opened(path, target.key)


def target_embeddings(
    setting: Setting, spec: ImageBased
) -> Iterator[tuple[NDArray[np.floating], int]]:
    """Embeddings of the target images, a part at a time, and how many images could not be read.

    Raises:
        TargetError: There is none, or a file is not what it should be.
    """
    match spec.target:
        case TargetEmbeddings():
            for path in _arrays(spec.target):
                array = _opened(path, spec.target.key)
                for start in range(0, len(array), ROWS_AT_ONCE):
                    yield array[start : start + ROWS_AT_ONCE], 0
        case TargetImages():
            yield from _embedded(setting, spec, _image_batches(_images(spec.target)))
        case TargetTask():
            yield from _embedded(setting, spec, _task_batches(setting, spec.target.task))


Batch = list[NDArray[np.uint8]]


def _embedded(
    setting: Setting, spec: ImageBased, batches: Iterator[tuple[Batch, int]]
) -> Iterator[tuple[NDArray[np.float32], int]]:
    scorer = loaded_scorer(setting, setting.experiment.scorers[spec.scorer])
    for images, n_unreadable in batches:
        vectors = np.empty((0, scorer.embedding_dim), np.float32)
        yield scorer.embed_images(images) if images else vectors, n_unreadable


def _image_batches(files: Sequence[Path]) -> Iterator[tuple[Batch, int]]:
    images: Batch = []
    n_unreadable = n_bytes = 0
    for image in map(_decoded, files):
        if image is None:
            n_unreadable += 1
            continue
        n_bytes += image.nbytes
        if images and (len(images) == IMAGES_AT_ONCE or n_bytes > DECODED_BYTES):
            yield images, n_unreadable
            images, n_unreadable, n_bytes = [], 0, image.nbytes
        images.append(image)
    yield images, n_unreadable


def _decoded(path: Path) -> NDArray[np.uint8] | None:
    if path.stat().st_size > LIMITS.max_bytes:
        return None
    try:
        return decode(path.read_bytes(), LIMITS)
    except ImageRejected:
        return None


def _task_batches(setting: Setting, name: str) -> Iterator[tuple[Batch, int]]:
    task = setting.experiment.evaluation.tasks[name]
    drawn = isinstance(task, EmbeddedTask)
    folder = str(setting.workspace.world / "evaluation" / name) if drawn else task.path
    split = "test" if drawn else task.split
    evaluation_set = load_set(folder, split, partial(decode, limits=LIMITS))
    if isinstance(evaluation_set, AssociationSet):
        msg = f"evaluation.tasks.{name}: a set of cues and candidates is no set of images"
        raise TargetError(msg)
    for images, _ in evaluation_set.batches(IMAGES_AT_ONCE):
        yield images, 0


def _images(target: TargetImages) -> list[Path]:
    endings = {f".{extension}" for extension in IMAGE_EXTENSIONS}
    paths = Path(target.images).rglob("*")
    found = sorted(path for path in paths if path.suffix.lower() in endings and path.is_file())
    if not found:
        msg = f"{target.images}: holds no image file ({', '.join(sorted(endings))})"
        raise TargetError(msg)
    return found


def _arrays(target: TargetEmbeddings) -> list[Path]:
    path = Path(target.embeddings)
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix in (".npy", ".npz"))
    else:
        found = [path] if path.is_file() and path.suffix in (".npy", ".npz") else []
    if not found:
        msg = f"{path}: is no .npy or .npz file, nor a folder with any"
        raise TargetError(msg)
    return found


def _opened(path: Path, key: str | None) -> NDArray[np.floating]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            array = _array_in(file, path, key)
    except (OSError, ValueError) as error:
        msg = f"{path}: no array of embeddings can be read from it: {error}"
        raise TargetError(msg) from error
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        msg = f"{path}: is {array.dtype} {array.shape}, not floats (images, dimension)"
        raise TargetError(msg)
    return array


def _array_in(file: IO[bytes], path: Path, key: str | None) -> NDArray[Any]:
    """An array of an npz, or the one of an npy as it lies on the disk, of any length."""
    if path.suffix == ".npz":
        archive = Archive(file)
        return archive.array(_only(archive.names, key, path))
    read_header(file, path.stat().st_size)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _only(keys: list[str], key: str | None, path: Path) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    if key not in keys:
        msg = f"{path}: name its array by `key`; it has {', '.join(keys) or 'none'}"
        raise TargetError(msg)
    return key
