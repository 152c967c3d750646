"""Captioners opened once in a process, and kept for the partitions that follow."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Captioner, RemoteCaptioner
from recap_assets.graph.loaded import stamp_of
from recap_assets.graph.project import Setting
from recap_assets.storage.workspace import Workspace


@contextmanager
def opened(setting: Setting, spec: Captioning) -> Iterator[Captioner]:
    """The captioner of a source; one at a time stays in memory.

    One behind a server is opened for the block, and closed at its end.
    """
    captioner = opened_captioner(setting, spec)
    try:
        yield captioner
    finally:
        if isinstance(captioner, RemoteCaptioner):
            captioner.close()


def opened_captioner(setting: Setting, spec: Captioning) -> Captioner:
    """The captioner of a source, which `opened` closes if it must be."""
    if spec.waits_for_a_server:
        return spec.open(setting.workspace)
    trained = spec.trained_model and setting.workspace.model(spec.trained_model)
    return _captioner(spec, setting.workspace, stamp_of(setting, spec, trained or None))  # pyright: ignore[reportArgumentType] - specs are frozen, so hashable


@lru_cache(maxsize=1)
def _captioner(spec: Captioning, workspace: Workspace, _stamp: str) -> Captioner:
    return spec.open(workspace)
