"""A budget holds where captions are written by actors of a cluster, and the ledger counts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recap_assets_tests.watched import read

pytest.importorskip("ray", reason="the extra ray is not installed")

from recap_assets_tests.defs.remote.cluster import (
    ASSET,
    captions,
    environment,
    kind_everywhere,
    nodes,
    pool_of,
)

pytestmark = pytest.mark.long(reason="a cluster of several processes a node")

N_SHARDS, PER_PARTITION, SAMPLES, SECONDS = 6, 2, 2, 600
PAUSE = 0.05
"""Slept for a caption."""
ALL = N_SHARDS * SAMPLES
OF_PARTITION = PER_PARTITION * SAMPLES


class Bench:
    """Three partitions of two shards, and a cluster of two nodes."""

    def __init__(self, folder: Path, file: Path, address: str) -> None:
        self.folder, self.file, self.address = folder, file, address

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "recap_assets.cli.main", "-e", str(self.file), *words]
        settings = environment(
            self.folder / "data", self.address, RECAP_WORKER_IDLE_SECONDS="60", COLUMNS="200"
        )
        return subprocess.Popen(  # noqa: S603 - our own words
            command, env=settings, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words: str) -> str:
        with self.start(*words) as process:
            output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, output
        return output

    def build(self, *words: str) -> str:
        return self.run("build", "--yes", "--jobs", "1", "-s", ASSET, *words)

    @property
    def n_asked(self) -> int:
        """Captions that the actors wrote."""
        return sum(line["n"] for line in read(self.folder / "log", "captioned"))

    def costs(self) -> dict[str, Any]:
        """What the ledger says of the captions."""
        rows = json.loads(self.run("costs", "--json"))["rows"]
        (row,) = [one for one in rows if one["asset"] == ASSET]
        return row


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with kind_everywhere(tmp_path, monkeypatch):
        file = pool_of(tmp_path, N_SHARDS, SAMPLES, seconds=PAUSE)
        content = yaml.safe_load(file.read_text())
        content["pool"]["shards_per_partition"] = PER_PARTITION
        file.write_text(yaml.safe_dump(content | {"prices": {"cpu_hour": 3_600}}))
        with nodes(2) as cluster:
            yield Bench(tmp_path, file, str(cluster.address))


def all_paid_once(bench: Bench) -> dict[str, Any]:
    """The costs, once all is captioned: each caption is paid for, and none twice."""
    assert captions(bench.folder / "data").height == ALL
    # Two actors sleep, and a second costs 1.
    costs = bench.costs()
    assert (costs["rows"], costs["rows_reused"], costs["seconds_reused"]) == (ALL, 0, 0)
    assert costs["seconds"] >= PAUSE * ALL / 2
    assert costs["money"] == pytest.approx(costs["seconds"])
    return costs


def test_a_budget_of_captions_stops_the_actors_and_the_next_build_writes_the_rest(
    bench: Bench,
) -> None:
    output = bench.build("--budget", f"{2 * OF_PARTITION + 1}captions")
    assert f"Spent of the budget: {2 * OF_PARTITION} of {2 * OF_PARTITION + 1} captions" in output
    assert "Stopped for the budget" in output
    assert bench.n_asked == 2 * OF_PARTITION
    assert bench.costs()["rows"] == 2 * OF_PARTITION

    output = bench.build("--budget", f"{OF_PARTITION}captions")
    assert "Stopped for the budget" not in output
    assert bench.n_asked == ALL
    costs = all_paid_once(bench)
    bench.build()
    assert bench.n_asked == ALL
    assert bench.costs() == costs


def test_shards_of_a_build_that_was_killed_are_paid_for_once(bench: Bench) -> None:
    budget = ("--budget", f"{ALL}captions")
    with bench.start("build", "--yes", "--jobs", "1", "-s", ASSET, *budget) as driver:
        until = time.monotonic() + SECONDS
        while not bench.n_asked:
            assert time.monotonic() < until, "no actor captions"
            time.sleep(0.02)
        os.killpg(driver.pid, signal.SIGKILL)
    bench.build(*budget)
    # What an actor had under way when the driver was killed may be done once more.
    assert ALL <= bench.n_asked <= ALL + 2 * SAMPLES
    assert captions(bench.folder / "data").height == ALL
    costs = bench.costs()
    assert (costs["rows"], costs["rows_reused"]) == (ALL, 0)


def test_a_budget_stops_between_the_shards_of_a_partition(bench: Bench) -> None:
    output = bench.build("--budget", f"{OF_PARTITION + SAMPLES + 1}captions")
    assert "Stopped for the budget" in output
    assert bench.n_asked == OF_PARTITION + SAMPLES
    output = bench.build("--budget", f"{SAMPLES}captions")
    assert f"Spent of the budget: {SAMPLES} of {SAMPLES} captions" in output
    assert bench.n_asked == 2 * OF_PARTITION
    bench.build("--budget", f"{OF_PARTITION}captions")
    assert bench.n_asked == ALL
    all_paid_once(bench)
