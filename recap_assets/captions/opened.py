"""Captioners and rewriters opened once in a process, and kept for the partitions that follow."""

from contextlib import AbstractContextManager
from typing import TypeVar

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Captioner
from recap_assets.graph.loaded import KeptOpen, Openable
from recap_assets.graph.project import Project

T = TypeVar("T")

_KEPT = KeptOpen()


def opened(project: Project, spec: Captioning) -> AbstractContextManager[Captioner]:
    """The captioner of a source; one at a time stays in memory.

    One behind a server is opened for the block, and closed at its end.
    """
    return opened_writer(project, spec)


def opened_writer(project: Project, spec: Openable[T]) -> AbstractContextManager[T]:
    """A captioner or a rewriter, of which one at a time stays in memory."""
    return _KEPT.lent(project, spec)
