"""The leaderboard: a dot for each seed, sorted by the mean, and no claim beyond the report's."""

import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.evaluation.averages import AVERAGE
from recap_assets.graph.project import Project
from recap_assets.look.paid import COMPUTING, ON_GPU, cost_of_results
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


def ledger_row(asset: str, event_id: int, **amounts: float) -> dict[str, object]:
    """A row of the ledger: what is not given is nothing."""
    nothing = {name: 0 for name, dtype in COSTS.schema.items() if dtype.is_numeric()}
    named = {"asset": asset, "partition": "0", "instance": "i", "event_id": event_id, "run_id": "r"}
    more = {"day": date(2026, 11, 28), "source": "", "model": "", "money": None}
    return {**nothing, **named, **more, "money_reused": None, **amounts}


TOOK = [
    *(ledger_row(f"trained_clip/{mix}", i, seconds=3600) for i, mix in enumerate(VALUES)),
    # Computed twice: the last time counts, of which a third was there before.
    ledger_row("synthetic_captions/a", 10, seconds=36_000),
    ledger_row("synthetic_captions/a", 11, seconds=4_800, seconds_reused=2_400),
    ledger_row("image_embeddings/clip", 12, seconds=360),
    ledger_row("evaluation_results/raw/coarse", 13, seconds=99_999),
]
AVERAGES = {"raw": 0.25, "raw_top30": 0.45, "mixed": 0.445}


def with_costs(project: Project, rows: list[dict[str, object]]) -> Project:
    """The project with a ledger, and an average of each mix."""
    project.workspace.tables.append(COSTS, pl.DataFrame(rows, schema=COSTS.schema))
    board = project.workspace.tables.read(LEADERBOARD)
    mean = pl.col("mix").replace_strict(AVERAGES, return_dtype=pl.Float64)
    averages = board.with_columns(task=pl.lit(AVERAGE), mean=mean.cast(board.schema["mean"]))
    project.workspace.tables.replace(LEADERBOARD, {}, pl.concat([board, averages]))
    return project


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
