"""The counts of the slider are those of `recap mix try`; what enters and leaves adds up."""

import re
from random import Random

import pytest
from starlette.testclient import TestClient

from recap_assets.graph.project import Project
from recap_assets.mixes.stored_trial import trial
from recap_assets.specs.loading import parse_experiment
from recap_assets_tests.tiny import EXPERIMENT, Bench

AT = {
    "raw_top30:rules.0.where.top": lambda value: [{"use": "raw", "where": {"top": value}}],
    "mixed:rules.0.where.top": lambda value: [
        {"use": "raw", "where": {"top": value}},
        {"use": "a"},
    ],
}


def tried(project: Project, mix: str, rules: list) -> dict:
    """What `recap mix try` counts where the file has these rules."""
    mixes = {**EXPERIMENT["mixes"], mix: rules}
    experiment = parse_experiment({**EXPERIMENT, "mixes": mixes})
    rows = trial(Project(experiment, project.workspace, is_read_only=True))
    return next(row for row in rows.to_dicts() if row["mix"] == mix)


@pytest.mark.parametrize("at", AT)
def test_counts_are_those_of_mix_try(client: TestClient, built: Bench, at: str) -> None:
    draw = Random(7)  # noqa: S311 - any numbers
    for _ in range(20):
        value = round(draw.uniform(0.001, 1), 3)
        found = client.get("/thresholds/counts", params={"at": at, "value": value}).json()["here"]
        wanted = tried(built.project, at.partition(":")[0], AT[at](value))
        for name in ("n_pairs", "n_images", "n_copies", "mean_score", "source_shares"):
            assert found[name] == wanted[name]
        assert found["thresholds"] == wanted["thresholds"]


def test_what_enters_and_leaves_adds_up(client: TestClient) -> None:
    at = "raw_top30:rules.0.where.top"
    for value in (0.05, 0.3, 0.9):
        asked = {"at": at, "value": value}
        counts = client.get("/thresholds/counts", params=asked).json()
        page = client.get("/thresholds/strips", params=asked).text
        enters, leaves = (int(n) for n in re.findall(r"<h2>(\d+) image", page))
        assert enters - leaves == counts["here"]["n_images"] - counts["file"]["n_images"]
        uids = client.get("/thresholds/uids.txt", params=asked).text.split()
        assert len(uids) == counts["here"]["n_images"]
        assert (enters, leaves) == (0, 0) or value != 0.3


def test_the_yaml_is_the_mix_with_that_number(client: TestClient) -> None:
    asked = {"at": "mixed:rules.0.where.top", "value": 0.125}
    yaml = client.get("/thresholds/counts", params=asked).json()["yaml"]
    assert yaml == ("mixes:\n  mixed:\n  - use: raw\n    where:\n      top: 0.125\n  - use: a\n")


@pytest.mark.parametrize("value", ["0", "-1", "2", "nan", "1e400", "<b>", ""])
def test_a_number_outside_of_the_setting_is_refused(client: TestClient, value: str) -> None:
    page = client.get("/thresholds/counts", params={"value": value})
    assert page.status_code == (400 if value else 200)


def test_the_plan_counts_what_would_be_built_beyond_now(client: TestClient) -> None:
    asked = {"at": "raw_top30:rules.0.where.top", "value": 0.3, "plan": 1}
    assert client.get("/thresholds/counts", params=asked).json()["n_partitions"] == 0
