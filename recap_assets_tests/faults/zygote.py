"""A process that has imported everything and forks one for each build, which saves the imports.

It runs no thread that what is forked would miss: jemalloc makes its own anew, and polars' cleaner
of spilled files has none to clean here. It reads a task a line, as JSON, and answers each with a
line.
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recap_assets_tests.faults import harms
from recap_assets_tests.faults.database import cluster_of, restart
from recap_assets_tests.faults.in_one_process import build_in_one_process

POLL_SECONDS = 0.02
STOP_SECONDS = 1.0
HARMLESS_THREADS = ("jemalloc", "polars-ooc")


@dataclass(frozen=True)
class Task:
    """What a forked process does.

    Attributes:
        words: The words after `recap`, or one of `harms.LOOKS` and a fault's folder.
        environment: Variables, of the shim and others.
        log: Where it prints to.
        anew: Whether it is a Python of its own, with workers of its own.
        limit: Seconds after which it is killed as one that hangs.
        harm: What is done to its files while a signal has stopped it; "": nothing, for a second.
        folder: The folder that the harm is done in.
    """

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: str = os.devnull
    anew: bool = False
    limit: float = 400.0
    harm: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Ended:
    """How a task ended: its exit code (negative: the signal), None where it hung; seconds."""

    code: int | None
    seconds: float


def fork(act: Callable[[], int], log: str) -> int:
    """Run a function in a process that leads a group of its own; its id."""
    if child := os.fork():
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(file, stream)
        code = act()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def perform(task: Task) -> Ended:
    """Do a task to its end."""
    started = time.monotonic()
    child = fork(lambda: _act(task), task.log)
    helper = 0
    while True:
        found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        seconds = time.monotonic() - started
        if found and os.WIFSTOPPED(status):
            helper = _harm(task) or helper
            _signal(child, signal.SIGCONT)
        elif found:
            _wait_for(helper)
            return Ended(os.waitstatus_to_exitcode(status), seconds)
        elif seconds > task.limit:
            _signal(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Ended(None, seconds)
        else:
            time.sleep(POLL_SECONDS)


def _act(task: Task) -> int:
    os.environ.update(task.environment)
    if task.anew:
        program = ["-m", "recap_assets.cli.main", *task.words]
        os.execv(sys.executable, [sys.executable, *program])  # noqa: S606 - our own words
    ctypes.CDLL(None).faults_arm()
    if task.words[0] in harms.LOOKS:
        return harms.LOOKS[task.words[0]](Path(task.words[1]))
    return build_in_one_process(task.words)


def _harm(task: Task) -> int:
    """Do harm while the build is stopped, or begin to do it; a process to wait for, or 0."""
    if not task.harm:
        time.sleep(STOP_SECONDS)
        return 0
    folder = Path(task.folder)
    if task.harm == "locked":
        return fork(lambda: harms.lock(folder), task.log)
    if task.harm == "restarted":
        return fork(lambda: restart(folder), task.log)
    if task.harm == "down":
        cluster_of(folder).stop()
        return 0
    if task.harm == "edited":
        harms.edit(folder / harms.FILE)
        return fork(lambda: build_in_one_process(task.words), task.log)
    harms.damage(task.harm, folder)
    return 0


def _missed() -> list[str]:
    """Threads that forked processes would miss."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [n for n in names if not n.startswith("python") and not n.startswith(HARMLESS_THREADS)]


def _wait_for(child: int) -> None:
    if child:
        os.waitpid(child, 0)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main() -> None:
    """Perform tasks until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    answers.write(json.dumps({"missed": _missed()}) + "\n")
    for line in sys.stdin:
        values: dict[str, Any] = json.loads(line)
        answers.write(json.dumps(asdict(perform(Task(**values)))) + "\n")


if __name__ == "__main__":
    main()
