"""Where a fault is put into a build, and the process that the builds are forked from."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recap_assets_tests.faults.shim import Harm, new_state

REPOSITORY = Path(__file__).parents[2]


class BrokenError(AssertionError):
    """What must hold after a fault does not."""


class Zygote:
    """The process that forks builds; used by one thread at a time."""

    def __init__(self, library: Path, scratch: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RECAP_")}
        environment |= {
            "LD_PRELOAD": str(library), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2", "HF_HUB_OFFLINE": "1",
            "DAGSTER_HOME": str(REPOSITORY), "DAGSTER_DISABLE_TELEMETRY": "yes",
            "TMPDIR": str(scratch),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "recap_assets_tests.faults.zygote"], cwd=REPOSITORY,
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if missed := self._answer()["missed"]:
            raise BrokenError(f"imports started threads, which forks would miss: {missed}")

    def perform(self, **task: Any) -> tuple[int | None, float]:
        """Do a task of `zygote.Task`; the exit code, None where it hung, and seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer["code"], answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokenError("the process that forks builds has died")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@dataclass(frozen=True)
class Place:
    """A folder with an experiment, its data and what was printed.

    Attributes:
        folder: Which.
        environment: What else its processes are told, such as where the tables lie.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def through(self, environment: Mapping[str, str]) -> "Place":
        """The same with another environment laid over."""
        return replace(self, environment={**self.environment, **environment})

    @property
    def log(self) -> Path:
        """What the builds printed."""
        return self.folder / "log"

    def words(self, select: Sequence[str], jobs: int = 1) -> list[str]:
        """After `recap`."""
        where = ["--data", str(self.folder / "data"), "-e", str(self.folder / "experiment.yaml")]
        selected = [word for pattern in select for word in ("--select", pattern)]
        return [*where, "build", "--yes", "--jobs", str(jobs), *selected]

    def read_tables(self, zygote: Zygote) -> None:
        """Read what is there by now in plain polars."""
        code = self._look(zygote, "tables")
        if code != 0:
            raise BrokenError(f"a table does not read after the fault: exit code {code}")

    def state(self, zygote: Zygote) -> Mapping[str, Any]:
        """What is there, all tables read."""
        code = self._look(zygote, "state")
        if code != 0:
            raise BrokenError(f"the state after the next build does not read: exit code {code}")
        return json.loads((self.folder / "state.json").read_text())

    def armed(self, harm: Harm, shift: int = 0) -> dict[str, str]:
        """Environment of a build."""
        state = new_state(self.folder / "calls", shift=shift)
        return {**self.environment, **harm.environment(self.folder / "data", state)}

    def _look(self, zygote: Zygote, what: str) -> int | None:
        words = [what, str(self.folder)]
        environment = dict(self.environment)
        return zygote.perform(words=words, log=str(self.log), environment=environment)[0]

    def build(self, zygote: Zygote, select: Sequence[str], shift: int = 0) -> None:
        """Build to the end."""
        environment = self.armed(Harm(), shift)
        code, _ = zygote.perform(
            words=self.words(select), log=str(self.log), environment=environment
        )
        if code != 0:
            raise BrokenError(f"the next build ended with {'a hang' if code is None else code}")
