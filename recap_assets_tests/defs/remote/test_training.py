"""A training spread over nodes of a cluster: one batch, one model; a lost node is gone on from."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.defs.remote.crew import Crew
from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.workers import RayWorkers, connect
from recap_assets.engines.trained import load_trained_clip
from recap_assets.graph.machines import Meeting
from recap_assets.storage.workspace import Workspace
from recap_assets.training.kinds.torchrun.engine import (
    RUN,
    Point,
    curve_of,
    final_checkpoint,
    save_trained,
    train,
)
from recap_assets.training.kinds.torchrun.starting import TrainerError, world_of
from recap_assets_tests.faults.small import write_experiment
from recap_assets_tests.tiny import Bench, tiny_experiment
from recap_assets_tests.training.kinds.torchrun.small import tiny, write_shards
from recap_assets_tests.waiting import wait_for

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from recap_assets.defs.remote.training import (  # noqa: E402 - needs ray
    NoNodesError,
    RayNodes,
    TrainingLostError,
    _largest,
)
from recap_assets_tests.defs.remote.cluster import (  # noqa: E402 - needs ray
    environment,
    kind_everywhere,
    nodes,
)

N = 2
EXPORTS = {"shards": {"mix": "best", "to": "webdataset"}}


def not_waiting(reason: str) -> None:
    pytest.fail(reason)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("site")
        with kind_everywhere(folder, patch), nodes(N) as found:
            connect(RemoteSettings(found.address))
            yield found.address


@pytest.mark.usefixtures("cluster")
@pytest.mark.long(reason="open_clip's trainer on two nodes of a cluster")
def test_two_nodes_train_one_model_with_the_batch_of_the_recipe(tmp_path: Path) -> None:
    folder, points = tmp_path / "run", list[Point]()
    train(tiny(), write_shards(tmp_path), 0, folder, points.append, RayNodes(N, not_waiting))
    params = (folder / RUN / "params.txt").read_text().splitlines()
    assert {"world_size: 2", "batch_size: 2", "distributed: True", "device: cpu"} <= set(params)
    assert [point.samples_seen for point in curve_of(tiny(), folder)] == [4, 8, 12, 16]
    save_trained(tiny(), folder, tmp_path / "model")
    unit = load_trained_clip(tmp_path / "model", 4).embed_texts(["a photo", "a drawing"])
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert not trainers(folder), "nothing trains on"


@pytest.mark.usefixtures("cluster")
@pytest.mark.long(reason="open_clip's trainer on two nodes of a cluster, twice")
def test_a_lost_node_ends_all_and_the_next_run_goes_on(tmp_path: Path) -> None:
    data, folder = write_shards(tmp_path), tmp_path / "run"
    latest = folder / RUN / "checkpoints" / "epoch_latest.pt"

    def kill_a_node() -> None:
        wait_for(latest.exists, "the first checkpoint is written")
        actor = psutil.Process(trainers(folder)[0].pid)
        while "TrainingNode" not in " ".join(actor.cmdline()):
            actor = actor.parent() or pytest.fail("no actor started it")
        os.kill(actor.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    long = tiny(samples_seen=64, checkpoints=8)
    with pytest.raises(TrainingLostError, match="goes on from its last checkpoint"):
        train(long, data, 0, folder, lambda _: None, RayNodes(N, not_waiting))
    killer.join()
    wait_for(lambda: not trainers(folder), "what was started ends")
    assert not final_checkpoint(long, folder).exists()
    train(long, data, 0, folder, lambda _: None, RayNodes(N, lambda _: None))
    assert "=> resuming checkpoint" in (folder / RUN / "out.log").read_text()
    assert [point.samples_seen for point in curve_of(long, folder)] == [*range(4, 65, 4)]


@pytest.mark.long(reason="a build whose training is on two nodes of a cluster")
def test_a_build_trains_on_the_nodes(cluster: str, tmp_path: Path) -> None:
    file = write_experiment(tmp_path, tmp_path / "experiment.yaml")
    training = json.loads(tiny(checkpoints=1).model_dump_json())
    whole = {"mixes": {"raw": [{"use": "raw"}]}, "exports": {}, "training": training}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **whole}))
    words = ["-e", str(file), "build", "--yes", "--jobs", "1", "--select", "trained_clip/raw"]
    settings = environment(tmp_path / "data", cluster, RECAP_TRAINING_NODES=str(N))
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "recap_assets.cli.main", *words],
        env=settings, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    workspace = Workspace(tmp_path / "data", "faults")
    curve = workspace.tables.read(TRAINING_CURVES).sort("step")
    assert curve["samples_seen"].to_list() == [4, 8, 12, 16]
    assert load_trained_clip(workspace.checkpoint("raw", 0), 4).embedding_dim == 256


@pytest.mark.usefixtures("cluster")
@pytest.mark.long(reason="open_clip's trainer on two nodes of a cluster")
def test_a_trainer_that_fails_on_the_nodes_says_why(tmp_path: Path) -> None:
    missing = tiny(model="no-such-model")
    with pytest.raises(TrainerError, match="no-such-model"):
        train(missing, ["--train-data", "/no"], 0, tmp_path, print, RayNodes(N, not_waiting))


@pytest.mark.long(reason="nodes of a cluster")
def test_a_model_without_work_leaves_the_node_that_a_training_wants_whole(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.defs.remote.training.WAITS_BEFORE_SAYING", 60)
    crew = Crew(RemoteSettings(cluster, idle_seconds=1e6), "rests/asset", 0)
    crew.grow(1)
    while not crew.idle:
        for ref in ray.wait(crew.starting, timeout=1.0)[0]:
            crew.answered(ref)
    printed = RayNodes(N, not_waiting).lines(lambda at: ["-c", f"print({at.rank})"])
    assert set(printed) <= {"0", "1"}, "both nodes are there while it is not idle for too long yet"


def trainers(folder: Path) -> list[psutil.Process]:
    """Processes that train in a folder."""
    words = str(folder / "arguments.json")
    return [one for one in psutil.process_iter(["cmdline"]) if words in (one.info["cmdline"] or ())]


class TwoNodes:
    n, n_gpus, n_cores = 2, 8, 96

    def lines(self, words_of: Callable[[Meeting], Sequence[str]]) -> Iterator[str]:
        return iter(words_of(Meeting(0, "node", 29_500)))


def test_nodes_of_a_cluster_meet_by_themselves() -> None:
    assert world_of(tiny(), TwoNodes()).size == 16
    with pytest.raises(TrainerError, match="leave torchrun_arguments out"):
        world_of(tiny(torchrun_arguments=["--nnodes=2"]), TwoNodes())


def test_the_largest_nodes_train() -> None:
    big, small, none = {"CPU": 96.0, "GPU": 8.0}, {"CPU": 128.0, "GPU": 4.0}, {"CPU": 64.0}
    assert _largest([none, small, big, {}], 2) == [big, small]
    assert _largest([none, {"CPU": 0.0}], 2) == [none], "a cluster may grow"
    with pytest.raises(NoNodesError, match="no node with a processor"):
        _largest([{"GPU": 1.0}], 1)


@pytest.mark.parametrize("n", [0, 2])
def test_trainings_leave_the_build_only_if_nodes_are_asked_for(tmp_path: Path, n: int) -> None:
    training = json.loads(tiny().model_dump_json())
    mixes = {"best": [{"use": "raw", "where": {"top": 0.5}}]}
    bench = Bench(
        tmp_path,
        tiny_experiment(mixes=mixes, sources={}, training=training, report={}, exports=EXPORTS),
    )
    workers = RayWorkers(bench.project, RemoteSettings("auto", training_nodes=n))
    node = bench.graph.nodes["trained_clip/best"]
    assert node.spreads
    assert workers.takes(node) is (n > 0)
