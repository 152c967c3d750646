"""What a kind of training is: what trains a CLIP on a mix, here or elsewhere.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; what trains is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from recap_assets.specs.findings import Finding
from recap_assets.specs.training import TrainingSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node, Step
    from recap_assets.graph.project import Project


def _nothing() -> None:
    """Where there is nothing to clear."""


@dataclass(frozen=True)
class Trained:
    """A CLIP that was trained on a mix.

    Attributes:
        save: Writes it into an empty folder, so that `engines.trained` can load it.
        curve: Columns step, samples_seen, loss, learning_rate_factor; a row at least.
        facts: Small numbers, shown with the materialization.
        epoch: Samples of one pass over the mix; 0 where that is not known.
        clear: Forgets what a killed run would continue from; called when the model is in place.
    """

    save: Callable[[Path], None]
    curve: pl.DataFrame
    facts: Mapping[str, float]
    clear: Callable[[], None] = _nothing
    epoch: int = 0


class Launcher(TrainingSpec):
    """What trains a CLIP on each mix and seed."""

    repeats: ClassVar[bool] = True
    """Whether the same pairs and seed give the same model, but for rounding."""

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU; one that trains elsewhere does not."""

    spreads: ClassVar[bool] = False
    """Whether it trains on the machines of `Step.machines`, where it is given some."""

    @property
    def n_gpus(self) -> int | None:
        """GPUs of this machine that it trains on; None: all that may be used."""
        return 1

    @abstractmethod
    def train(self, project: "Project", mix: str, step: "Step") -> Trained:
        """Train on the pairs of a mix with the seed of a partition.

        Args:
            project: The experiment and its workspace.
            mix: The mix.
            step: Its partition is the seed; it receives progress and figures.

        Raises:
            ValueError: The mix has no pair.
        """

    def reads(self, mix: str) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """Keys of the assets that it reads beside the mix's pairs."""
        yield from ()

    def nodes(self, project: "Project") -> "list[Node]":  # noqa: ARG002 - of some kinds
        """Assets of its own."""
        return []

    def doctor(self, where: str) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between it and a build; `where` is its name in the file."""
        yield from ()
