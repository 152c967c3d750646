"""The leaderboard: a dot for each seed, sorted by the mean, and no claim beyond the report's."""

import re
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.graph.project import Project
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

VALUES = {"raw": (0.2, 0.3), "raw_top30": (0.4, 0.5), "mixed": (0.41, 0.48)}


@pytest.fixture
def project(built: Bench, tmp_path: Path) -> Project:
    """What was built, with results of two seeds."""
    training = {**EXPERIMENT["training"], "seeds": [0, 1]}
    project = built.copied(tmp_path, tiny_experiment(training=training)).project
    tables = project.workspace.tables
    for mix, values in VALUES.items():
        for seed, value in enumerate(values):
            row = {"task": "coarse", "metric": "acc1", "value": value, "is_main": True}
            frame = pl.DataFrame([{**row, "n_samples": 24}])
            at = {"mix": mix, "seed": seed}
            tables.replace(EVALUATION_RESULTS, at, frame)
    board = [
        {
            "mix": mix, "task": "coarse", "metric": "acc1", "mean": sum(values) / 2,
            "deviation": 0.07, "n_seeds": 2, "n_pairs": 10, "raw_share": 1.0,
        }
        for mix, values in VALUES.items()
    ]  # fmt: skip
    tables.replace(LEADERBOARD, {}, pl.DataFrame(board, schema=LEADERBOARD.schema))
    return project


def test_every_seed_is_a_dot_and_the_best_mean_comes_first(project: Project) -> None:
    with client_of(project) as client:
        page = client.get("/results?task=coarse").text
    mixes = re.findall(r'href="/lineage\?asset=curated_mixes/(\w+)"', page)
    assert mixes == ["raw_top30", "mixed", "raw"]
    shown = re.findall(r"<title>seed (\d): ([\d.]+) %</title>", page)
    wanted = [(str(i), f"{100 * v:.2f}") for mix in mixes for i, v in enumerate(VALUES[mix])]
    assert shown == wanted
    places = [float(x) for x in re.findall(r'class="dot-of" d="M([\d.]+) ', page)]
    values = [value for mix in mixes for value in VALUES[mix]]
    assert sorted(range(6), key=places.__getitem__) == sorted(range(6), key=values.__getitem__)
    assert all(0 < place < 1_000 for place in places)


def test_a_lead_within_its_deviation_is_a_tie(project: Project) -> None:
    with client_of(project) as client:
        page = client.get("/results?task=coarse").text
    assert "raw_top30 is tied with mixed on coarse" in page
    assert client_of(project).get("/results?task=nothing").status_code == 400
