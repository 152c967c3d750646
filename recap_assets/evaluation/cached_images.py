"""The images of evaluation sets as the model that is evaluated takes them, each decoded once."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import metadata

import PIL

from recap_assets.engines.protocols import ResizesImages
from recap_assets.evalsets.image_cache import ImageCache
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.tasks import TaskSet
from recap_assets.graph.project import Project
from recap_assets.shards.images import decode
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.pool import ImageLimits

DECODING = 1
"""Raise it where `decode` or a model's `resizing` gives other pixels."""

LIBRARIES = ("simplejpeg", "torchvision", "open_clip_torch", "recap-assets")

decode_whole = partial(decode, limits=ImageLimits())


class ModelImages:
    """What decodes the images of each set for one model.

    Args:
        project: Whose data folder has the cache.
        model: Where it is no `ResizesImages`, it is given images as they are, and none is cached.
        sets: All sets that it is evaluated on. The tasks of one set share its embeddings, and
            with them its images: where one of them needs them whole, all do.
    """

    def __init__(self, project: Project, model: object, sets: Sequence[TaskSet]) -> None:
        gib = project.experiment.evaluation.image_cache_gib
        self._cache = ImageCache(project.workspace.evaluation_images, int(gib * 2**30))
        self._resizing = model.resizing if isinstance(model, ResizesImages) else None
        self._whole = {one.of_set for one in sets if not one.passes_images_on}

    @contextmanager
    def decoded(self, one: TaskSet) -> Generator[Decode]:
        """What decodes one set's images; new ones are cached when the block ends well."""
        resizing = self._resizing
        if resizing is None or one.of_set in self._whole:
            yield decode_whole
            return
        size = fingerprint_of(resizing.name, *resizing.shape, *_program())
        with self._cache.of_set(
            size, one.of_set, resizing.shape, lambda content: resizing.resize(decode_whole(content))
        ) as decoded:
            yield decoded


@cache
def _program() -> tuple[str | int, ...]:
    """What decides pixels beside a model's name and size: our code and the libraries'."""
    return DECODING, PIL.__version__, *(metadata.version(name) for name in LIBRARIES)
