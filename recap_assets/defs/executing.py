"""What a worker process of a build does: one run of Dagster after the other."""

import atexit
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.queues import Queue

import dagster as dg
from dagster._utils import interrupts

from recap_assets.defs.assets import asset_key, assets_of, progress_listener
from recap_assets.defs.build_state import Failures, Ran
from recap_assets.defs.code_location import name_location
from recap_assets.defs.dead_runs import driver_tags
from recap_assets.defs.failures import WithoutLoggerErrors, in_words
from recap_assets.defs.garbage import leave_garbage
from recap_assets.defs.metering import spent_by
from recap_assets.defs.ran import rows_of, taken_over
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.run_failures import failures_of
from recap_assets.defs.session import Session
from recap_assets.engines.threads import torch_threads

News = tuple[str, str, float]
"""Asset, partition and its done fraction, as a worker reports it."""


_opened: dict[str, object] = {}

NO_TAGS: Mapping[str, str] = {}


def prepare(progress: "Queue[News]") -> None:
    """Make this process a worker that tells here how far it is."""
    sys.stderr = WithoutLoggerErrors(sys.stderr)
    _die_when_terminated()
    # What ends with the process need not be looked through for garbage, which takes a second.
    atexit.register(leave_garbage)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", str(torch_threads()))
    # With more workers than the cores have room for, threads that spin keep the others from work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    progress_listener.set(lambda *news: progress.put(news))


def _die_when_terminated() -> None:
    """Keep Dagster from raising an exception at a SIGTERM, wherever the process is just then.

    It makes a traceback of one that comes while a worker waits for work, which is when its pool
    terminates it since another worker died. Dying at once is as safe as for `_leave_with_parent`.
    """
    interrupts.setup_interrupt_handlers = lambda: None


def open_experiment() -> None:
    """Open what runs need, where it is not open yet."""
    if "instance" in _opened:
        return
    session = Session.from_environment()
    # The number of workers is the limit here: a place in a pool would be waited for for ever where
    # a killed process of another machine still holds it.
    definitions = dg.Definitions(assets=assets_of(session.graph, session.project, in_pools=False))
    _opened["job"] = definitions.resolve_implicit_global_asset_job_def()
    _opened["instance"] = instance = session.open_instance()
    name_location(instance)


def _leave_with_parent() -> None:
    # A worker whose driver was killed would wait for work for ever. Leaving at once is safe:
    # tables change in whole commits.
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def run_batch(
    assets: Sequence[str], partitions: tuple[str, ...], more_tags: Mapping[str, str] = NO_TAGS
) -> Ran:
    """Execute one run of these assets and partitions; how it ended."""
    try:
        # Not when the process starts: what fails there breaks the pool, with a traceback.
        open_experiment()
        result = _executed(assets, partitions, more_tags)
        spent = spent_by(result.dagster_run.run_id)
        return Ran(failures_of(result, assets), taken_over(result), rows_of(result), spent)
    except Exception as error:
        if (words := in_words(error)) is not None:
            return Ran(Failures(words))
        raise


def _executed(
    assets: Sequence[str], partitions: tuple[str, ...], more_tags: Mapping[str, str]
) -> dg.ExecuteInProcessResult:
    return _opened["job"].execute_in_process(  # type: ignore[attr-defined]
        instance=_opened["instance"],
        asset_selection=[asset_key(asset) for asset in assets],
        tags={**driver_tags(), **range_tags(partitions), **more_tags},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
