"""The leaderboard: a dot for each seed, sorted by the mean, and no claim beyond the report's."""

import re
from pathlib import Path

import pytest

from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.graph.project import Project
from recap_assets.look.paid import COMPUTING, ON_GPU, cost_of_results
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.look.written_results import (
    TOOK,
    VALUES,
    ledger_row,
    with_costs,
    write_results,
)
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment


@pytest.fixture
def project(built: Bench, tmp_path: Path) -> Project:
    """What was built, with results of two seeds."""
    training = {**EXPERIMENT["training"], "seeds": [0, 1]}
    project = built.copied(tmp_path, tiny_experiment(training=training)).project
    write_results(project)
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


def test_a_result_costs_what_its_trainings_read_takes_alone(project: Project) -> None:
    found, unit = cost_of_results(
        with_costs(project, TOOK), project.workspace.tables.read(LEADERBOARD)
    )
    assert unit == COMPUTING
    hours = dict(found.select("mix", "hours").iter_rows())
    # Every pair has its score, so all read the embeddings.
    assert hours == pytest.approx({"raw": 1.1, "raw_top30": 1.1, "mixed": 3.1})
    assert found["mix"].to_list() == ["raw_top30", "raw", "mixed"]
    # The mix of captions costs more than raw_top30 and is no better.
    assert found["is_best"].to_list() == [True, False, False]


def test_where_a_gpu_was_held_its_hours_count(project: Project) -> None:
    rows = [
        *TOOK[:3],
        ledger_row("synthetic_captions/a", 11, seconds=7_200, gpu_seconds=7_200),
    ]
    board = with_costs(project, rows).workspace.tables.read(LEADERBOARD)
    found, unit = cost_of_results(project, board)
    assert unit == ON_GPU
    hours = dict(found.select("mix", "hours").iter_rows())
    assert hours == {"raw": 0.0, "raw_top30": 0.0, "mixed": 2.0}
    # Of equal cost the better one comes first, and the other is not on the line.
    assert found.filter("is_best")["mix"].to_list() == ["raw_top30"]


def test_the_page_has_costs_where_there_is_a_ledger(project: Project) -> None:
    with client_of(project) as client:
        assert "Cost against result" not in client.get("/results?task=coarse").text
    with client_of(with_costs(project, TOOK)) as client:
        page = client.get("/results?task=coarse").text
    assert 'aria-label="Hours of computing against the average of every mix"' in page
    table = page[page.index('aria-label="Cost and average by mix"') :]
    assert re.findall(r"<td>([\d.]+)</td><td>([\d.]+) %</td>", table) == [
        ("1.1", "45.0"), ("1.1", "25.0"), ("3.1", "44.5"),
    ]  # fmt: skip
    assert table.count("no cheaper mix equals it") == 1
