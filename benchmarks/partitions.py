"""One partition of a stage, computed and written, by this commit's package or by a former one's."""

from collections.abc import Iterable

from recap_assets.graph.node import Node, Step


def write(nodes: Iterable[Node], asset: str, step: Step) -> None:
    """Compute a partition of an asset and write it, on the threads that torch has by itself."""
    node = next(node for node in nodes if node.key == asset)
    try:
        from recap_assets.graph.building import compute_and_write  # noqa: PLC0415 - see below
    except ImportError:
        node.compute(step)  # which wrote, before there was such a function
    else:
        compute_and_write(node, step)
