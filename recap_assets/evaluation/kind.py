"""What a kind of evaluation task is: a set that is somewhere, is made here, or is another's.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts`, `evalsets` and this; what reads or makes the set is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from recap_assets.artefacts.world import task_key
from recap_assets.engines.protocols import Places
from recap_assets.evalsets.embedding import Embedder
from recap_assets.evalsets.kind import Task
from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode, EvaluationSetError
from recap_assets.specs.base import Name
from recap_assets.specs.findings import Finding
from recap_assets.specs.pool import ImageLimits
from recap_assets.specs.references import Reference

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project
    from recap_assets.specs.experiment import Experiment


class Existing(Task):
    """A set that is somewhere, on this machine or elsewhere."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people."""

    @abstractmethod
    def versions(self, name: str) -> Iterator[str]:
        """What changes when the set does: a line for each of its files."""

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """Whether the set can be opened; `where` is its name in the file."""
        from recap_assets.shards.images import decode

        try:
            self.open(Path("nowhere"), partial(decode, limits=ImageLimits()))
        except (OSError, ValueError) as error:
            yield False, f"{where}: {error}"
        else:
            yield True, f"{where}: {self.place}"


class OnAnother(Task):
    """A task that measures the set of another one in another way; it has no set of its own."""

    of: Name = Field(description="The task whose set it measures, DataComp's included.")

    @property
    def rests_on(self) -> str | None:
        """The other task."""
        return self.of

    def refers(self) -> Iterator[Reference]:
        """The other task."""
        yield Reference("of", self.of, "task_names")

    def scorer(self, experiment: "Experiment") -> str | None:  # noqa: ARG002 - of some kinds
        """The scorer of the experiment that it needs besides; None for none."""
        return None

    @abstractmethod
    def over(self, whole: EvaluationSet, scorer: Callable[[], Embedder]) -> EvaluationSet:
        """The other task's set, as this one measures it.

        Args:
            whole: The set.
            scorer: Opens the `scorer`; called no sooner than the set is measured.

        Raises:
            EvaluationSetError: It is no set that can be measured so.
        """

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """Refused: the set is the other task's.

        Raises:
            EvaluationSetError: Always.
        """
        msg = f"it has no set of its own: name {self.of}, whose set it measures"
        raise EvaluationSetError(msg)


class MadeHere(Task):
    """A set that an asset of this experiment makes."""

    def made_by(self, name: str) -> Iterator[str]:
        """The asset."""
        yield task_key(name)

    @abstractmethod
    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The assets that make the set, `task_key(name)` among them, in `Project.task_folder`."""
