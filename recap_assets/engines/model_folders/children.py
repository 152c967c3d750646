"""Work on a model's files in a process that can be ended: with bounds of time and memory."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from recap_assets.untrusted.errors import UntrustedError

SECONDS = 30.0
MEMORY_BYTES = 2**30
"""Beside what the libraries themselves take."""

MAX_ANSWER_BYTES = 16 * 2**20
_WAITING: "list[subprocess.Popen[bytes]]" = []
_START_SECONDS = 120.0
"""For Python and the libraries to start, on a machine that is busy: of the clock."""


def run_child(
    module: str, task: Mapping[str, Any], seconds: float = SECONDS, memory: int = MEMORY_BYTES
) -> Any:  # noqa: ANN401 - JSON
    """What `module.run(task)` answers, in a process of its own.

    Args:
        module: A module of this package whose `run` takes and gives JSON values.
        task: Its argument.
        seconds: Of a processor's time until it is ended, from when its libraries are there.
        memory: Bytes that it may take beside its libraries.

    Raises:
        UntrustedError: It took too long or too much, died, or raised; with what it said.
    """
    given = json.dumps({"module": module, "task": task, "memory": memory, "seconds": seconds})
    late = f"it was not done in {seconds:g} seconds of computing"
    with _WAITING.pop() if _WAITING else _started() as child:
        try:
            # The child ends itself in time; this is for a system where it cannot.
            output, _ = child.communicate(given.encode(), timeout=seconds + _START_SECONDS)
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise UntrustedError(late) from error
    if child.returncode == -getattr(signal, "SIGPROF", 0):
        raise UntrustedError(late)
    try:
        answer = json.loads(output.rpartition(b"\n")[2][:MAX_ANSWER_BYTES])
    except ValueError as error:
        msg = f"the process that tried it died (exit status {child.returncode})"
        raise UntrustedError(msg) from error
    if "refused" in answer:
        raise UntrustedError(str(answer["refused"]))
    return answer["answer"]


@contextmanager
def children_ready(n: int = 2) -> Iterator[None]:
    """Children that wait for work, started while this process is small.

    For a moment a child is a copy of the process that starts it, and counts as large: with torch
    loaded as a gigabyte.
    """
    if "torch" in sys.modules:
        yield
        return
    _WAITING.extend(_started() for _ in range(n - len(_WAITING)))
    try:
        yield
    finally:
        while _WAITING:
            with _WAITING.pop() as child:
                child.kill()


def _started() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own words, no shell
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    )


_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from recap_assets.engines.model_folders.child_main import main; main()"
)
