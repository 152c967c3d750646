"""Captioners opened once in a process, and kept for the partitions that follow."""

from collections.abc import Iterator
from contextlib import contextmanager

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Captioner, RemoteCaptioner
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.project import Project

_KEPT = KeptOpen()


@contextmanager
def opened(project: Project, spec: Captioning) -> Iterator[Captioner]:
    """The captioner of a source; one at a time stays in memory.

    One behind a server is opened for the block, and closed at its end.
    """
    captioner = opened_captioner(project, spec)
    try:
        yield captioner
    finally:
        if isinstance(captioner, RemoteCaptioner):
            captioner.close()


def opened_captioner(project: Project, spec: Captioning) -> Captioner:
    """The captioner of a source, which `opened` closes if it must be."""
    if spec.waits_for_a_server:
        return spec.open(project.workspace)
    return _KEPT.opened(project, spec)
