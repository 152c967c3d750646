"""What images are to be near to, those of a set or by a score: the target, of any kind."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from recap_assets.graph.stage import Dependency, Outside, Project, both, outside_of
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.specs.base import Spec
from recap_assets.untrusted.errors import RecapError

Batch = list[NDArray[np.uint8]]
"""Images, each of shape (height, width, 3)."""

Embedded = tuple[NDArray[np.floating], int]
"""Embeddings of some target images, shape (n, dimension), and how many more cannot be read."""


class TargetError(RecapError, ValueError):
    """The target images cannot be used. The text names the file and says why."""


class Target(Spec):
    """Target images. A kind is a spec whose first field is the word that names it.

    `scorer` is the name of the scorer in whose space they are.
    """

    @abstractmethod
    def embedded(self, project: Project, scorer: str) -> Iterator[Embedded]:
        """The target images in the space of the scorer, a part at a time.

        Raises:
            TargetError: There is none, or a file is not what it should be.
        """

    def reads(self, project: Project, scorer: str) -> tuple[Dependency, ...]:  # noqa: ARG002 - of some kinds
        """The assets that the embeddings come from."""
        return ()

    def embedded_by(self, project: Project, scorer: str) -> Mapping[str, object]:  # noqa: ARG002 - of some kinds
        """What decides the embeddings beside assets and files."""
        return self.decides()

    def outside(self, project: Project, scorer: str) -> Outside | None:  # noqa: ARG002 - of some kinds
        """Version of the files that the embeddings come from."""
        return outside_of(project, self)

    def check(self) -> None:
        """Find what is wrong with files of it, without embedding anything.

        Raises:
            TargetError: There is no file, or one is not what it should be.
        """


class ImagesTarget(Target):
    """Target images that the scorer embeds."""

    decided_elsewhere: ClassVar[tuple[str, ...]] = ()
    """Fields that say what is read, which has a version of its own."""

    @abstractmethod
    def batches(self, project: Project) -> Iterator[tuple[Batch, int]]:
        """The images in batches, and how many more cannot be read.

        Raises:
            TargetError: There is none.
        """

    def embedded(self, project: Project, scorer: str) -> Iterator[Embedded]:
        """As the scorer embeds them."""
        batches = self.batches(project)
        opened = embedder_of(project, scorer)
        for images, n_unreadable in batches:
            vectors = np.empty((0, opened.embedding_dim), np.float32)
            yield opened.embed_images(images) if images else vectors, n_unreadable

    def reads(self, project: Project, scorer: str) -> tuple[Dependency, ...]:
        """What trains the scorer."""
        trained = embedding_scorer(project, scorer).trained_by()
        return tuple(Dependency(key, "all") for key in trained)

    def embedded_by(self, project: Project, scorer: str) -> Mapping[str, object]:
        """The scorer, and fields of the target that change its images."""
        beside = self.decides(*self.decided_elsewhere)
        settings = project.experiment.scorers[scorer].decides()
        return {**settings, **({"target": beside} if beside else {})}

    def outside(self, project: Project, scorer: str) -> Outside | None:
        """Version of the scorer's files and of the images."""
        embedded_by = outside_of(project, project.experiment.scorers[scorer])
        return both(embedded_by, self.images_outside(project))

    def images_outside(self, project: Project) -> Outside | None:
        """Version of the images' files."""
        return outside_of(project, self)
