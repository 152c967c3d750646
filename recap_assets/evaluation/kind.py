"""What a kind of evaluation task is: a set that is somewhere, or one that is made here.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts`, `evalsets` and this; what reads or makes the set is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recap_assets.artefacts.world import task_key
from recap_assets.engines.protocols import Places
from recap_assets.evalsets.kind import Task
from recap_assets.specs.findings import Finding
from recap_assets.specs.pool import ImageLimits

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


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


class MadeHere(Task):
    """A set that an asset of this experiment makes."""

    def made_by(self, name: str) -> Iterator[str]:
        """The asset."""
        yield task_key(name)

    @abstractmethod
    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The assets that make the set, `task_key(name)` among them, in `Project.task_folder`."""
