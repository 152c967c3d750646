"""What runs in a child process of `children`: one task, its answer as the last line."""

import importlib
import json
import signal
import sys
from pathlib import Path

_PAGES = Path("/proc/self/statm")


def main() -> None:
    """Read the task from standard input, bound the memory, answer on standard output."""
    given = json.loads(sys.stdin.buffer.read() or b"null")
    if given is None:
        return  # there was nothing to do
    work = importlib.import_module(given["module"])
    _bound_memory(int(given["memory"]))
    _bound_time(float(given["seconds"]))
    try:
        answer = {"answer": work.run(given["task"])}
    except MemoryError:
        answer = {"refused": f"it takes more than {given['memory'] >> 20:,} MiB of memory"}
    except BaseException as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        answer = {"refused": f"{lines[0][:500]} ({type(error).__name__})"}
    sys.stdout.write("\n" + json.dumps(answer))


def _bound_memory(n_bytes: int) -> None:
    """Allow this many bytes more than now; where the system has no such bound, time bounds it."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows

        now = int(_PAGES.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + n_bytes, now + n_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return


def _bound_time(seconds: float) -> None:
    """The system ends the process, whatever it is doing, after so much of a processor's time."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
