"""A piece of work that is recorded as a CUDA graph and replayed: launching it costs nearly nothing.

A step of a large model is some hundred small kernels, and Python takes longer to launch them than a
GPU to compute them. The first run of each kind is a plain one: libraries choose their kernels and
allocate what they keep in it. The second is recorded, and from then on it is replayed.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor

from recap_assets.engines.batch_sizes import is_out_of_memory

_log = logging.getLogger(__name__)

MOST = 512
"""Recordings that are kept: those of a caption's length for several numbers of rows, and more."""

Handle = TypeVar("Handle")

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Records work without running it, and gives what runs it."""


class Replays:
    """Work by its kind: run, then recorded, then replayed.

    Work takes no argument and gives nothing: it reads and writes tensors that stay in place. A
    recording is used if its first replay writes the bits that the work writes: libraries may choose
    other kernels where they are recorded.

    Args:
        record: Records; None where nothing can, and all runs are plain.
    """

    def __init__(self, record: Record | None) -> None:
        self._record = record
        self._without_memory: Record | None = None
        """What recorded, and found no memory for it."""
        self._recordings: OrderedDict[Hashable, Callable[[], None] | None] = OrderedDict()

    def run(self, key: Hashable, work: Callable[[], None], written: Sequence[Tensor] = ()) -> None:
        """Do the work.

        Args:
            key: What the work depends on beside the content of its tensors.
            work: Does it.
            written: What it writes and is compared by.
        """
        replay = self._recordings.get(key)
        if self._record is None:
            work()
        elif replay is not None:
            replay()
        elif key in self._recordings:
            replay = self._recorded(self._record, work, written)
        else:
            work()
        if self._record is not None:
            self._keep(key, replay)

    def forget(self) -> None:
        """Drop all recordings: the tensors are others, and there may be memory to record again."""
        self._recordings.clear()
        self._record = self._record or self._without_memory

    def _keep(self, key: Hashable, replay: Callable[[], None] | None) -> None:
        self._recordings[key] = replay
        self._recordings.move_to_end(key)
        if len(self._recordings) > MOST:
            self._recordings.popitem(last=False)

    def _recorded(
        self, record: Record, work: Callable[[], None], written: Sequence[Tensor]
    ) -> Callable[[], None] | None:
        """Do the work, and give its recording if that does the same."""
        before = _copies(written)
        work()
        expected = _copies(written)
        try:
            replay = record(work)
            _put_back(written, before)
            replay()
        except Exception as error:
            # torch reports what cannot be recorded by errors of many types, memory among them.
            is_memory = is_out_of_memory(error)
            why = "memory ran out" if is_memory else str(error).split("\n")[0]
            self._without_memory = record if is_memory else None
        else:
            if all(map(_is_same, written, expected)):
                return replay
            why, self._without_memory = "a recorded step has other bits", None
        _log.warning("steps are launched one kernel at a time, not as CUDA graphs: %s", why)
        _put_back(written, expected)
        self._record = None
        self._recordings.clear()
        return None


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [one.clone() for one in tensors]


def _put_back(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for one, value in zip(tensors, values, strict=True):
        one.copy_(value)


def _is_same(one: Tensor, other: Tensor) -> bool:
    # Bytes and not numbers: NaN equals itself.
    return torch.equal(*(tensor.contiguous().view(torch.uint8) for tensor in (one, other)))


def recorder(device: torch.device) -> Record | None:
    """What records on a device; None where torch cannot."""
    if device.type != "cuda":
        return None
    pools = Pools(torch.cuda.graph_pool_handle)

    def record(work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # Other threads prepare images meanwhile, into memory of their own.
        with torch.cuda.graph(graph, pool=pools.of(graph), capture_error_mode="thread_local"):
            work()
        return graph.replay

    return record


class Pools(Generic[Handle]):
    """One pool of memory for all graphs that live at a time.

    A pool goes with its last graph, and torch takes no graph into one that is gone.

    Args:
        make: Gives the handle of a new pool.
    """

    def __init__(self, make: Callable[[], Handle]) -> None:
        self._make = make
        self._pool: Handle | None = None
        self._alive: WeakSet[object] = WeakSet()

    def of(self, graph: object) -> Handle:
        """The pool that a graph is to take its memory from."""
        if self._pool is None or not self._alive:
            self._pool = self._make()
        self._alive.add(graph)
        return self._pool
