"""A target of images in a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recap_assets.graph.project import Project
from recap_assets.sets.targets import Batch, ImagesTarget, TargetError
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS
from recap_assets.shards.images import ImageRejected, decode
from recap_assets.shards.reading import DECODED_BYTES
from recap_assets.specs.fields import Content
from recap_assets.specs.pool import ImageLimits

IMAGES_AT_ONCE = 256
LIMITS = ImageLimits()


class TargetImages(ImagesTarget):
    """Images in files, which the scorer embeds."""

    images: Annotated[str, Content()] = Field(
        description="Folder of image files, subfolders included."
    )

    def batches(self, project: Project) -> Iterator[tuple[Batch, int]]:  # noqa: ARG002 - of all kinds
        """The folder's images, as they come."""
        return _image_batches(_images(self.images))

    def check(self) -> None:
        """Look whether there is any image."""
        _images(self.images)


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


def _images(folder: str) -> list[Path]:
    endings = {f".{extension}" for extension in IMAGE_EXTENSIONS}
    paths = Path(folder).rglob("*")
    try:
        found = sorted(path for path in paths if path.suffix.lower() in endings and path.is_file())
    except OSError as error:
        msg = f"{error.filename or folder}: cannot be looked through: {error.strerror}"
        raise TargetError(msg) from error
    if not found:
        msg = f"{folder}: holds no image file ({', '.join(sorted(endings))})"
        raise TargetError(msg)
    return found
