"""Machines that one computation is spread over, where it starts processes of its own on them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Meeting:
    """Where the processes of all machines find each other.

    Attributes:
        rank: Number of this machine, from 0.
        host: Address of the machine with number 0.
        port: A port that was free there.
    """

    rank: int
    host: str
    port: int


class Machines(Protocol):
    """Several machines that are held while their processes run."""

    @property
    def n(self) -> int:
        """How many there are."""
        ...

    @property
    def n_gpus(self) -> int:
        """GPUs of each; 0: they compute on their processors."""
        ...

    @property
    def n_cores(self) -> int:
        """Cores of each, at least."""
        ...

    def lines(self, words_of: Callable[[Meeting], Sequence[str]]) -> Iterator[str]:
        """Start Python on each machine, and give what all of them print until they end.

        Args:
            words_of: What Python is given on a machine.

        Raises:
            RecapError: A machine was lost; what the others did may be continued.
        """
        ...
