"""Builds on a cluster whose workers, nodes and drivers are killed at random, again and again.

    python -m recap_assets_tests.defs.remote.kills --kills 30 --seed 1

At the end the rows are those of one machine, each image is there once, and no more models were
loaded than workers were started.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from recap_assets_tests.defs.remote.cluster import (
    ASSET,
    add_node,
    captions,
    environment,
    kind_everywhere,
    nodes,
    pool_of,
)
from recap_assets_tests.watched import read

N_SHARDS, SAMPLES = 60, 2
N_NODES = 3


class Kills:
    """Kills by a seed."""

    def __init__(self, folder: Path, file: Path, cluster: Cluster, seed: int) -> None:
        self.folder, self.file, self.cluster = folder, file, cluster
        self.random = random.Random(seed)  # noqa: S311 - to be repeated
        self.done: Counter[str] = Counter()
        self.name = "0"

    def start(self, workers: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "recap_assets.cli.main", "-e", str(self.file)]
        command += ["build", "--yes", "--jobs", "1", "-s", ASSET]
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own words
                command, env=environment(self.folder / self.name, workers),
                start_new_session=True, stdout=output, stderr=output,
            )  # fmt: skip

    def worker(self, _driver: subprocess.Popen[bytes]) -> bool:
        """Kill a worker that has work."""
        done = {(line["pid"], line["first"]) for line in read(self.folder / "log", "captioned")}
        begun = [(one["pid"], one["first"]) for one in read(self.folder / "log", "began")]
        alive = [pid for pid, first in begun if (pid, first) not in done and is_alive(pid)]
        if alive:
            os.kill(self.random.choice(alive), signal.SIGKILL)
        return bool(alive)

    def node(self, _driver: subprocess.Popen[bytes]) -> bool:
        """Kill a node with its workers; another one comes."""
        there = sorted(self.cluster.worker_nodes, key=lambda node: node.unique_id)
        self.cluster.remove_node(self.random.choice(there), allow_graceful=False)
        add_node(self.cluster)
        return True

    def driver(self, driver: subprocess.Popen[bytes]) -> bool:
        """Kill the build with its processes."""
        os.killpg(driver.pid, signal.SIGKILL)
        return True

    def run(self, n: int) -> int:
        """Build until there were that many kills; how many builds came to their end."""
        whole = 0
        how: list[Callable[[subprocess.Popen[bytes]], bool]] = [self.worker, self.driver, self.node]
        while self.done.total() < n:
            driver = self.start(self.cluster.address)
            n_captioned = len(read(self.folder / "log", "captioned"))
            wait_until(
                lambda before=n_captioned, one=driver: (
                    len(read(self.folder / "log", "captioned")) > before or one.poll() is not None
                )
            )
            while driver.poll() is None and self.done.total() < n:
                (kill,) = self.random.choices(how, [8, 3, 1])
                if kill(driver):
                    self.done[kill.__name__] += 1
                if kill == self.driver:
                    driver.wait()
                time.sleep(self.random.uniform(0.1, 1.5))
            if self.done.total() >= n:
                driver.wait()
            whole += driver.returncode == 0
            if driver.returncode == 0 and self.done.total() < n:
                self.check()
                self.name = str(int(self.name) + 1)
        while driver.returncode != 0:
            driver = self.start(self.cluster.address)
            driver.wait()
        self.check()
        return whole

    def check(self) -> None:
        """The rows are those of one machine."""
        found, expected = captions(self.folder / self.name), captions(self.folder / "here")
        assert found["uid"].is_unique().all()
        assert found.equals(expected)
        said = f"build {self.name} is that of one machine, after kills {dict(self.done)}"
        print(said, flush=True)  # noqa: T201 - what it is run for


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        with kind_everywhere(folder, patch):
            file = pool_of(folder, N_SHARDS, SAMPLES, seconds=0.1)
            with nodes(N_NODES) as cluster:
                kills = Kills(folder, file, cluster, asked.seed)
                kills.name = "here"
                assert kills.start("local").wait() == 0, (folder / "output").read_text()
                (folder / "log").unlink()
                kills.name = "0"
                whole = kills.run(asked.kills)
        opened, done = read(folder / "log", "opened"), read(folder / "log", "captioned")
        loads, processes = len(opened), len({line["pid"] for line in opened})
        once = {(line["pid"], line["of"]) for line in opened}
        assert loads == len(once), "a worker loads its model once in a workspace"
        needed = N_SHARDS * (int(kills.name) + 1)
        print(  # noqa: T201 - what it is run for
            f"seed {asked.seed}: kills {dict(kills.done)}; {int(kills.name) + 1} builds whole "
            f"({whole} at the first try); {loads} models loaded by {processes} workers; "
            f"{len(done)} shards captioned for {needed}; all rows as on one machine"
        )


if __name__ == "__main__":
    main()
