"""What trainings, results and the leaderboard send, and that nothing of it can fail a build."""

import logging
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets.tracking import sending
from recap_assets.tracking.runs import track_leaderboard, track_results, tracked_training
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment
from recap_assets_tests.tracking.remembered import (
    TRACK,
    Remembered,
    Run,
)

MIXES = {"mixes": {"raw": [{"use": "raw"}]}, "sources": {}, "report": {}}
TRAINING = {**EXPERIMENT["training"], "track": TRACK}
RESULTS = pl.DataFrame({"task": ["coarse"], "metric": ["top1"], "value": [0.5]})


def project_in(folder: Path, **training: Any) -> Project:
    experiment = tiny_experiment(**MIXES, training={**TRAINING, **training})
    return Project(experiment, Workspace(folder, experiment.name))


def training_step(fingerprint: str = "f") -> Step:
    return Step("0", fingerprint=fingerprint, reads={"curated_mixes/raw": "v1"})


CURVE = pl.DataFrame(
    {
        "step": [1, 2, 3], "samples_seen": [10, 20, 30], "loss": [3.0, 2.0, 1.0],
        "learning_rate_factor": [0.5, 1.0, 0.0],
    }
)  # fmt: skip


def test_a_training_that_resumes_is_one_run_without_a_point_twice(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    project = project_in(tmp_path)

    def interrupted() -> None:
        with tracked_training(project, "raw", training_step()) as one:
            one.point(1, {"loss": 3.0})
            one.point(2, {"loss": 2.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with tracked_training(project, "raw", training_step()) as one:
        one.point(2, {"loss": 2.0})
        one.finish(CURVE, 20, "model")
    assert one.facts == {}
    (run,) = runs.values()
    assert [step for step, _ in run.points] == [1, 2, 3]
    assert run.points[-1][1] == {
        "samples_seen": 30, "loss": 1.0, "learning_rate_factor": 0.0, "epoch": 1.5
    }  # fmt: skip
    assert run.ended == ["failed", "finished"]
    params = run.identity.params
    assert (params["mix"], params["seed"], params["version.curated_mixes/raw"]) == (
        "raw",
        "0",
        "v1",
    )
    assert params["training.samples_seen"] == str(project.experiment.training.samples_seen)


def test_results_join_the_run_of_their_model_and_another_model_has_its_own(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    project = project_in(tmp_path)
    with tracked_training(project, "raw", training_step()) as one:
        one.finish(CURVE, 0, "model")
    track_results(project, "raw", Step("0", reads={"trained_clip/raw": "model"}), RESULTS)
    (run,) = runs.values()
    assert run.results == {"coarse/top1": 0.5}
    track_results(project, "raw", Step("0", reads={"trained_clip/raw": "taken over"}), RESULTS)
    assert len(runs) == 2


@pytest.mark.parametrize("again", ["f", "g"])
def test_a_training_that_is_forced_or_changed_is_another_run(
    runs: dict[str, Run], tmp_path: Path, again: str
) -> None:
    project = project_in(tmp_path)
    for fingerprint in ("f", again):
        with tracked_training(project, "raw", training_step(fingerprint)) as one:
            one.finish(CURVE, 0, "model")
    assert [len(run.points) for run in runs.values()] == [3, 3]


def test_the_leaderboard_is_one_run_of_the_experiment(runs: dict[str, Run], tmp_path: Path) -> None:
    project = project_in(tmp_path)
    board = pl.DataFrame(
        {
            "mix": ["raw"],
            "task": ["average"],
            "metric": ["mean"],
            "mean": [0.5],
            "deviation": [None],
        }
    )
    for _ in range(2):
        assert track_leaderboard(project, board) == {}
    (run,) = runs.values()
    assert run.results == {"average/mean/raw": 0.5}
    assert run.tables["leaderboard"].equals(board)


def test_a_tracker_that_is_down_costs_no_training_and_is_said_once_without_secrets(
    runs: dict[str, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Remembered, "down", "https://me:pass-word-1234@server refused")
    project = project_in(tmp_path)
    with caplog.at_level(logging.WARNING):
        for fingerprint in ("f", "g"):
            with tracked_training(project, "raw", training_step(fingerprint)) as one:
                one.finish(CURVE, 0, "model")
            assert one.facts == {"tracking_failures": 4}
    assert runs == {}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "training.track: remembered failed: " in said
    assert "refused" in said
    assert "pass-word-1234" not in said
    assert "recap doctor" in said
    assert [good for good, _ in project.experiment.training.track.doctor("training.track")] == [  # type: ignore[union-attr]
        False
    ]


def test_a_tracker_that_never_answers_is_not_waited_for(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(Remembered, "hangs", let_go)
    monkeypatch.setattr(sending, "CLOSE_SECONDS", 0.05)
    with tracked_training(project_in(tmp_path), "raw", training_step()) as one:
        one.finish(CURVE, 0, "model")
    assert one.facts == {"tracking_failures": 4}
    assert runs == {}
    let_go.set()


@pytest.mark.usefixtures("remembering")
def test_a_tracker_decides_nothing(tmp_path: Path) -> None:
    plain = tiny_experiment(**MIXES)
    tracked = tiny_experiment(**MIXES, training=TRAINING)
    versions = [
        {
            key: node.code_version
            for key, node in build_graph(Project(one, Workspace(tmp_path, "tiny"))).nodes.items()
        }
        for one in (plain, tracked)
    ]
    assert versions[0] == versions[1]


def test_a_build_tracks_curve_results_and_leaderboard(runs: dict[str, Run], tmp_path: Path) -> None:
    bench = Bench(tmp_path, tiny_experiment(**MIXES, training={**TRAINING, "seeds": [0]}))
    bench.build("world", "pool", "models", "scores", "mixes", "training", "evaluation")
    (run,) = runs.values()
    curve = bench.project.workspace.tables.read(TRAINING_CURVES).sort("step")
    assert [(step, figures["loss"]) for step, figures in run.points] == list(
        curve.select("step", "loss").iter_rows()
    )
    assert {name.partition("/")[0] for name in run.results} == {"coarse", "retrieval"}
    assert run.identity.params["version.training_pairs/raw"]
    assert bench.build("training", "evaluation") == []
