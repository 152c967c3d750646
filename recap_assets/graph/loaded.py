"""What kinds open, such as models, kept in a process for the partitions that follow."""

import gc
import sys
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar, cast
from weakref import WeakSet

from recap_assets.engines.protocols import Closes, Places
from recap_assets.graph.outside import contents_version
from recap_assets.graph.project import Project

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Openable(Protocol[T_co]):
    """A kind that is opened: a spec."""

    @property
    def trained_model(self) -> str | None:
        """The model of this experiment that it opens; None for one from elsewhere."""
        ...

    def open(self, places: Places) -> T_co:
        """Whatever the kind gives."""
        ...

    def canonical(self) -> str:
        """The spec as JSON."""
        ...

    def contents(self) -> Mapping[str, Path]:
        """The files and folders whose bytes decide."""
        ...


_ALL: "WeakSet[KeptOpen]" = WeakSet()


def let_go_of_all() -> None:
    """Free the memory of everything that this process keeps open, that on a GPU included."""
    for kept in _ALL:
        kept.let_go()
    _give_back()


def is_on_a_gpu() -> bool:
    """Whether this process has begun to use a GPU."""
    # What was never imported has nothing there.
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _give_back() -> None:
    """Free the memory of what nothing names any more, that on a GPU included."""
    # Libraries and other packages' kinds may refer in circles, which only this finds.
    gc.collect()
    if is_on_a_gpu():
        sys.modules["torch"].cuda.empty_cache()


class KeptOpen:
    """The last of what was opened.

    Args:
        most: How many stay in memory. The oldest is given up before another one is opened.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        _ALL.add(self)

    @contextmanager
    def lent(self, project: Project, spec: Openable[T]) -> Iterator[T]:
        """What the spec opens, for a partition.

        What a server computes is opened for the block and closed at its end; all else is kept.
        """
        # Of most kinds the class says it, of some their fields, so no protocol can.
        if not getattr(spec, "waits_for_a_server", False):
            yield self.opened(project, spec)
            return
        found = spec.open(project.workspace)
        try:
            yield found
        finally:
            if isinstance(found, Closes):
                found.close()

    def let_go(self) -> None:
        """Keep nothing in memory any more."""
        self._kept.clear()

    def opened(self, project: Project, spec: Openable[T]) -> T:
        """What the spec opens, from memory if nothing that it is opened from has changed."""
        key = (type(spec), spec.canonical(), project.workspace, _stamp_of(project, spec))
        if key not in self._kept:
            self._make_room()
            self._kept[key] = spec.open(project.workspace)
        self._kept.move_to_end(key)
        return cast("T", self._kept[key])

    def _make_room(self) -> None:
        """Free the oldest, before another one needs its memory."""
        if len(self._kept) < self._most:
            return
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)
        _give_back()


def _stamp_of(project: Project, spec: Openable[object]) -> str:
    """What changes when the model of a spec does, wherever it comes from."""
    # A model that was trained again, or replaced, in the same folder must not come from memory.
    name = spec.trained_model
    trained = project.workspace.model(name) if name is not None else None
    changed = trained.stat().st_mtime_ns if trained is not None and trained.exists() else 0
    return f"{changed} {contents_version(project, spec)}"
