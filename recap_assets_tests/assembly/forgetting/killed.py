"""`recap forget` that kills itself at one of the moments at which it changes a file.

python -m recap_assets_tests.assembly.forgetting.killed MOMENT WORDS: the command with these words,
in a process that gets SIGKILL before its change number MOMENT. With 0 it says how many there are.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from recap_assets.cli import main

CHANGES = frozenset({"os.rename", "os.remove", "shutil.rmtree", "sqlite3.connect", "os.truncate"})
"""What Python does to files. Delta's own writes are between these."""


def killer(moment: int) -> tuple[Callable[[str, tuple[Any, ...]], None], list[int]]:
    """A hook that counts changes, and ends the process at one of them."""
    n = [0]

    def hook(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in CHANGES:
            n[0] += 1
            if n[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook, n


if __name__ == "__main__":
    hook, n_changes = killer(int(sys.argv[1]))
    sys.addaudithook(hook)
    try:
        main.recap([*sys.argv[2:]], standalone_mode=False)
    finally:
        sys.stdout.write(f"\nchanges: {n_changes[0]}\n")
