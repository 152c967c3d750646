"""Builds on a cluster of three nodes give what one machine gives, whoever dies meanwhile."""

import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
import yaml

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS
from recap_assets.storage.content import slice_version
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.storage import s3
from recap_assets_tests.tiny import EXPERIMENT
from recap_assets_tests.waiting import wait_for
from recap_assets_tests.watched import allow, read

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytest.importorskip("ray", reason="the extra ray is not installed")

from recap_assets_tests.defs.remote.cluster import (
    ASSET,
    add_node,
    captions,
    environment,
    kind_everywhere,
    nodes,
    pool_of,
)

pytestmark = pytest.mark.long(reason="a cluster of several processes a node")

N_SHARDS, SAMPLES, SECONDS = 9, 4, 600
TABLES = "s3://workers/tables"


class Bench:
    """A pool, a cluster of three nodes, and tables in a bucket."""

    def __init__(self, folder: Path, file: Path, cluster: "Cluster", address: str) -> None:
        self.folder, self.file, self.cluster, self.address = folder, file, cluster, address
        self.log, self.gate = folder / "log", folder / "gate"

    def start(self, name: str, workers: str | None = None, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "recap_assets.cli.main", "-e", str(self.file)]
        command += ["build", "--yes", "--jobs", "1", *(words or ("-s", ASSET))]
        tables = f"{TABLES}/{name}"
        settings = environment(
            self.folder / name, workers or self.address, RECAP_TABLES=tables,
            RECAP_WORKER_IDLE_SECONDS="600",
        )  # fmt: skip
        return subprocess.Popen(  # noqa: S603 - our own words
            command, env=settings, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, name: str, workers: str | None = None, *words: str) -> str:
        with self.start(name, workers, *words) as process:
            output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, output
        return output

    def captions(self, name: str) -> pl.DataFrame:
        return captions(self.folder / name, f"{TABLES}/{name}")

    def wait_for(self, what: str, n: int) -> None:
        wait_for(lambda: len(read(self.log, what)) >= n, f"{n} {what}", SECONDS)

    def kill_a_worker(self) -> None:
        """Kill one that waits at the gate with a shard."""
        wait_for(self._under_way, "a worker has work", SECONDS)
        os.kill(self._under_way()[-1], signal.SIGKILL)

    def _under_way(self) -> list[int]:
        done = {(line["pid"], line["first"]) for line in read(self.log, "captioned")}
        begun = [(line["pid"], line["first"]) for line in read(self.log, "began")]
        return [pid for pid, first in begun if (pid, first) not in done]


def append_a_sample(tar: Path, folder: Path) -> None:
    """One sample more at the end of a shard, whose others stay as they are."""
    with tarfile.open(write_shard(folder, 77, ["a boat"])) as one, tarfile.open(tar, "a") as shard:
        for member in one:
            shard.addfile(member, one.extractfile(member))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    import botocore.session  # noqa: PLC0415 - of this fixture alone

    with s3.moto_server() as endpoint, kind_everywhere(tmp_path, monkeypatch):
        for name, value in s3.environment(endpoint).items():
            monkeypatch.setenv(name, value)
        client = botocore.session.get_session().create_client("s3", "us-east-1")
        client.create_bucket(Bucket="workers")
        file = pool_of(tmp_path, N_SHARDS, SAMPLES, seconds=0.2, gate=str(tmp_path / "gate"))
        with nodes(3) as cluster:
            yield Bench(tmp_path, file, cluster, cluster.address)


def test_workers_and_a_node_and_the_driver_are_lost_and_the_rows_are_those_of_one_machine(
    bench: Bench,
) -> None:
    bench.finish("here", "local")
    expected = bench.captions("here")
    bench.log.unlink()

    allow(bench.gate, 1)
    with bench.start("there") as driver:
        bench.wait_for("captioned", 1)
        bench.kill_a_worker()
        allow(bench.gate, 5)  # one of which was killed
        bench.wait_for("captioned", 4)
        os.killpg(driver.pid, signal.SIGKILL)
    n_kept = len(read(bench.log, "captioned"))
    assert n_kept == 4
    bench.gate.unlink()

    with bench.start("there") as driver:
        bench.wait_for("captioned", n_kept + 1)
        cluster = bench.cluster
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        add_node(cluster)
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert bench.captions("there").equals(expected)
    shards = Counter(line["first"] for line in read(bench.log, "captioned"))
    assert len(shards) == N_SHARDS
    assert max(shards.values()) <= 2, "only what was under way is done again"
    assert sum(shards.values()) <= N_SHARDS + 3

    loads = len(read(bench.log, "opened"))
    for number in range(N_SHARDS, N_SHARDS + 3):
        write_shard(bench.folder / "pool", number, ["a boat"] * SAMPLES)
    bench.finish("there")
    assert len(read(bench.log, "captioned")) == sum(shards.values()) + 3
    assert len(read(bench.log, "opened")) <= loads + 1, "the models of the build before are warm"

    append_a_sample(bench.folder / "pool" / "00000000.tar", bench.folder / "one")
    n_lines = len(read(bench.log, "captioned"))
    before = bench.captions("there")
    bench.finish("there")
    later = read(bench.log, "captioned")[n_lines:]
    assert sum(line["n"] for line in later) == 1, "the other rows are taken over"
    assert bench.captions("there").height == before.height + 1


def test_a_tar_that_ends_its_workers_is_named_and_all_others_are_kept(bench: Bench) -> None:
    deadly = bench.file.read_text().replace("seconds: 0.2", "deadly: '00012d'")
    bench.file.write_text(deadly)  # uid 301, in the fourth shard
    with bench.start("deadly") as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 1, output
    words = " ".join(output.split())
    assert "00000003: each ended 2 workers" in words
    shards = {line["first"] for line in read(bench.log, "captioned")}
    assert len(shards) == N_SHARDS - 1
    bench.file.write_text(deadly.replace("deadly: '00012d'", "seconds: 0.0"))
    bench.finish("deadly")
    counts = Counter(line["first"] for line in read(bench.log, "captioned"))
    assert set(counts.values()) == {1}
    assert len(counts) == N_SHARDS


def test_captions_embeddings_and_scores_of_models_are_those_of_one_machine(bench: Bench) -> None:
    content = {**EXPERIMENT, "mixes": {"raw": [{"use": "raw"}]}, "report": {}}
    bench.file.write_text(yaml.safe_dump(content))
    words = ("-s", "clip_scores/*")
    for name, workers in (("here", "local"), ("there", bench.address)):
        bench.finish(name, workers, *words)
    for table in (SYNTHETIC_CAPTIONS, IMAGE_EMBEDDINGS, CLIP_SCORES):
        here, there = (
            Workspace(bench.folder / name, "tiny", f"{TABLES}/{name}").tables.read(table)
            for name in ("here", "there")
        )
        assert here.height > 0
        assert slice_version(table, here) == slice_version(table, there), table.name
