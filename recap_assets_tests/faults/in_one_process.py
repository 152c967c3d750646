"""`recap build` without worker processes, which would import everything anew."""

import queue
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from types import SimpleNamespace
from typing import Any

# Imported here, so that what is forked has it.
import recap_assets.cli.building
import recap_assets.definitions
import recap_assets.exports.assets
import recap_assets.mixes.assets  # noqa: F401
from recap_assets.cli.main import main
from recap_assets.defs import worker_start


class OneProcess(Executor):
    """Runs each call where it is submitted."""

    def __init__(self, _jobs: int, *, initializer: Callable[..., None], initargs: Sequence[Any],
                 **_: object) -> None:  # fmt: skip
        initializer(*initargs)

    def submit(self, call: Callable[..., Any], /, *words: Any) -> Future[Any]:  # type: ignore[override]
        """The result, or what was raised."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*words))
        except Exception as error:
            future.set_exception(error)
        return future


def build_in_one_process(words: Sequence[str]) -> int:
    """Run the command line, whose builds keep to this process; the exit code."""
    context = SimpleNamespace(Queue=queue.Queue)
    worker_start.ProcessPoolExecutor = OneProcess  # type: ignore[assignment,misc]
    worker_start.multiprocessing = SimpleNamespace(  # type: ignore[assignment]
        get_context=lambda _how: context, active_children=list
    )
    sys.argv = ["recap", *words]
    main()
    return 0
