"""Actors of a Ray cluster on this machine: how they scale, and what a tar costs beside its model.

A captioner that sleeps stands for the model, so that the actors need no core of their own and what
is measured is all else: sending addresses, reading the pool's table and the images, writing parts,
and putting the partition together. The cluster has a node for each worker. Each number of workers
computes the same partition once it is warm; the efficiency is T(1) / (n T(n)), and the overhead of
a tar is (n T(n) - the seconds slept) / tars.

    python benchmarks/remote_workers.py [--tars 24] [--seconds 1.0]
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from verdicts import machine, verdict

sys.path.insert(0, str(Path(__file__).parents[1]))  # the cluster is that of the tests

from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.workers import RayWorkers
from recap_assets.defs.session import Session
from recap_assets.graph.node import Rows, Step
from recap_assets_tests.defs.remote.cluster import (
    ASSET,
    environment,
    kind_everywhere,
    nodes,
    pool_of,
)

IMAGES = 4
LEAST_EFFICIENCY = 0.9
MOST_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tars", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=1.0, help="Slept for a tar.")
    asked = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        with kind_everywhere(folder, patch):
            file = pool_of(folder, asked.tars, IMAGES, seconds=asked.seconds / IMAGES)
            build_pool(folder, file)
            with nodes(4) as cluster:
                os.environ["RECAP_DATA"] = str(folder / "data")
                took = {n: seconds(file, str(cluster.address), n) for n in (1, 2, 4)}
    slept = asked.tars * asked.seconds
    for n, wall in took.items():
        efficiency, overhead = took[1] / (n * wall), (n * wall - slept) / asked.tars
        print(
            f"{n} workers: {wall:.2f} s, {efficiency:.3f} efficient, {1e3 * overhead:.1f} ms a tar"
        )
    verdict("efficiency of 4 actors", took[1] / (4 * took[4]), LEAST_EFFICIENCY)
    overhead = (took[1] - slept) / asked.tars
    verdict("seconds beside the model a tar", overhead, MOST_SECONDS, at_most=True)


def build_pool(folder: Path, file: Path) -> None:
    command = [sys.executable, "-m", "recap_assets.cli.main", "-e", str(file), "build", "--yes"]
    settings = environment(folder / "data", "local")
    subprocess.run([*command, "-s", "raw_pool"], env=settings, check=True, capture_output=True)


def seconds(file: Path, address: str, n: int) -> float:
    """What a partition takes with `n` workers that are there already."""
    session = Session(file)
    workers = RayWorkers(session.project, RemoteSettings(address, n, 60.0))
    node = session.graph.nodes[ASSET]
    (partition,) = session.project.partitions
    for turn in ("first", "second"):
        step = Step(partition, f"{n}-{turn}", asset=ASSET)
        started = time.monotonic()
        found = workers.compute(node, step)
        wall = time.monotonic() - started
        assert isinstance(found, Rows)
        for action in step.once_written:
            action()
    workers.leave()
    return wall


if __name__ == "__main__":
    main()
