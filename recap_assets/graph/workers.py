"""What computes a partition: this process, or workers elsewhere."""

from typing import Protocol

from recap_assets.graph.computing_on import hold_gpus
from recap_assets.graph.node import Node, Outcome, Rows, Step


class Workers(Protocol):
    """Computes partitions; what they give is written by whoever asks."""

    def takes(self, node: Node) -> bool:
        """Whether the node is computed elsewhere, and needs no GPU of this process."""
        ...

    def compute(self, node: Node, step: Step) -> Rows | Outcome:
        """What the node gives of the partition, wherever it is computed.

        Raises:
            RecapError: As the node's `compute`, or the workers were lost.
        """
        ...


class Here:
    """This process computes, on the GPUs that it holds."""

    def takes(self, node: Node) -> bool:  # noqa: ARG002 - of the protocol
        """Nothing is computed elsewhere."""
        return False

    def compute(self, node: Node, step: Step) -> Rows | Outcome:
        """What the node gives."""
        hold_gpus(node, step)
        return node.compute(step)


HERE = Here()
