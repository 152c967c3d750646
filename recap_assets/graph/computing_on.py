"""What a partition is computed on: the GPUs that its process holds, and their memory."""

from recap_assets.engines.gpus import HELD
from recap_assets.graph.loaded import is_on_a_gpu, let_go_of_all
from recap_assets.graph.node import Node, Step
from recap_assets.graph.planner import name_of

_last: list[str] = []
"""The stage that this process computed last on a GPU."""


def hold_gpus(node: Node, step: Step) -> None:
    """Hold the GPUs that the node needs; what another stage left on them is freed.

    Raises:
        GpuError: RECAP_GPUS names GPUs that are not there.
        StorageError: The folder of leases cannot be used.
    """
    if node.gpus == 0:
        return
    # Where nvidia-smi is not there, torch may use a GPU without a lease.
    if _last and (HELD.devices or is_on_a_gpu()) and _last != [node.stage]:
        let_go_of_all()
    _last[:] = [node.stage]

    def waits(holders: str) -> None:
        step.waits(f"a GPU is waited for; held by {holders}")

    HELD.hold(node.gpus, name_of(node.key, step.partition), waits)
