"""Run a command that ends when the process that started it does.

    python -m recap_assets.engines.leash PARENT COMMAND ...

A trainer that outlived its build would write into the folder in which the next build resumes.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the command, on a leash where the system has one (Linux).

    Args:
        parent: Process whose end ends the command.
        command: The program and its arguments.
    """
    if sys.platform == "linux":
        # It holds for the thread that started this process, and over the call of exec.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("the process that started the trainer is gone")
    os.execvp(command[0], command)  # noqa: S606 - a list of words, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
