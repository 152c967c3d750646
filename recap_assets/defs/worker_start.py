"""The first thing that a worker process of a build does, before anything large is imported."""

from multiprocessing.queues import Queue
from typing import TYPE_CHECKING

from recap_assets.defs.garbage import collect_seldom

if TYPE_CHECKING:
    from recap_assets.defs.executing import News


def start_worker(progress: "Queue[News]") -> None:
    """Become a worker that tells here how far it is."""
    collect_seldom()
    from recap_assets.defs.executing import prepare  # noqa: PLC0415 - looked through seldom now

    prepare(progress)
