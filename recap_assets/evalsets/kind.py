"""What a kind of evaluation task is to whatever reads its set.

`evaluation.kind` has the two sorts of kinds: sets that are somewhere, and sets that are made here.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.evaluation import TaskSpec


class Task(TaskSpec):
    """A set that CLIPs are measured on."""

    @abstractmethod
    def open(self, made: Path, decode: Decode) -> EvaluationSet:
        """The set; its images are read in the same order each time.

        Args:
            made: The folder where an asset of this experiment puts it, if one makes it.
            decode: Bytes of an image to RGB.

        Raises:
            EvaluationSetError: A file is missing or unusable.
        """

    @property
    def main_metric(self) -> str | None:
        """The metric that stands for the task; None for the set's own."""
        return None

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Least and greatest value of the metrics that are not between 0 and 1."""
        return {}

    @property
    def is_drawn(self) -> bool:
        """Whether the embedded world draws the set: it says nothing of models of real images."""
        return False

    @property
    def passes_images_on(self) -> bool:
        """Whether models are given each image as it was decoded.

        Then it may be decoded at the model's own size. A kind that looks at pixels, cuts images or
        shows them to another model says no, which is the default.
        """
        return False

    def made_by(self, name: str) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """Keys of the assets that make the set; `name` is the task's."""
        yield from ()

    def versions(self, name: str) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """Of a set that is outside, what changes when it does: a line for each of its files."""
        yield from ()

    def images_version(self) -> str:
        """Of a set that is outside, what changes when its images do."""
        return fingerprint_of(*self.versions(""))


def tasks_of(tasks: Mapping[str, TaskSpec]) -> Mapping[str, Task]:
    """The tasks of an experiment by name, as what they are: the registry takes no others."""
    return cast("Mapping[str, Task]", tasks)
