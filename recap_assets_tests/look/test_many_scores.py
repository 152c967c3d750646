"""Cut-offs of rules over several scorers, sets and parts of the pool: dragged, and as tried."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.scores import (
    CLIP_SCORES,
    IMAGE_SCORES,
    SCORE_HISTOGRAMS,
    best_scores,
)
from recap_assets.graph.project import Project
from recap_assets.look import groups, held_scores
from recap_assets.mixes.stored_trial import trial
from recap_assets.specs.loading import parse_experiment
from recap_assets.specs.setting_keys import set_at
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.mixes.written_mixes import (
    mixes_experiment,
    uid_of,
    written_pool,
)

HEAD = {"kind": "embedding_head", "scorer": "clip", "weights": "head.safetensors"}
RULES: dict[str, Any] = {
    "two": {
        "rules": [
            {"use": "raw", "where": {"all": [{"top": 0.7}, {"top": 0.5, "of": "other.raw"}]}},
            {"use": "a", "where": {"at_least": 0.2, "of": "other.a"}},
        ]
    },
    "pretty": {
        "rules": [
            {"use": "raw", "where": {"any": [{"at_least": 5, "of": "beauty"}, {"best": 9}]}},
            {
                "use": {"best_of": ["raw", "a"], "scorer": "other"},
                "where": {"top": 0.4, "of": "other.a"},
            },
        ]
    },
    "listed": {
        "within": {"fraction": 0.8},
        "rules": [
            {"use": "raw", "where": {"all": [{"in_set": "some"}, {"top": 0.6, "of": "other.a"}]}},
            {"use": {"each": {"raw": 1, "a": 2}}, "where": {"top": 0.3, "of": "a"}},
        ],
    },
}
RANGES: dict[str, tuple[float, float]] = {
    "two:rules.0.where.all.0.top": (0.01, 1),
    "two:rules.0.where.all.1.top": (0.01, 1),
    "two:rules.1.where.at_least": (0.1, 0.3),
    "pretty:rules.0.where.any.0.at_least": (-1, 8),
    "pretty:rules.0.where.any.1.best": (1, 60),
    "pretty:rules.1.where.top": (0.01, 1),
    "listed:rules.0.where.all.1.top": (0.01, 1),
    "listed:rules.1.where.top": (0.01, 1),
}
"""Every cut-off that can be moved, and between which numbers."""


def content(folder: Path) -> dict[str, Any]:
    rules = {name: {"scorer": "clip", **mix} for name, mix in RULES.items()}
    return {
        "mixes": rules,
        "image_scorers": {"beauty": HEAD},
        "sets": {"some": {"uids": str(folder / "some.txt")}},
    }


def beauty(project: Project) -> None:
    for number, partition in enumerate(project.partitions):
        rows = [(number, uid_of(i), float(i % 7)) for i in range(20 * number, 20 * number + 17)]
        names = ("shard", "uid", "score")
        schema = {name: IMAGE_SCORES.schema[name] for name in names}
        at = {"scorer": "beauty", "partition": partition}
        project.workspace.tables.replace(IMAGE_SCORES, at, pl.DataFrame(rows, schema, orient="row"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("many_scores")
    (folder / "some.txt").write_text("".join(f"{uid_of(i).hex()}\n" for i in range(0, 60, 2)))
    project = written_pool(folder / "data", mixes_experiment(**content(folder)))
    beauty(project)
    return project


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    with client_of(project) as client:
        yield client


def tried(project: Project, at: str, value: float) -> dict[str, Any]:
    """What `recap mix try` counts where the file has that number."""
    mix, _, path = at.partition(":")
    written = project.experiment.model_dump(mode="json", exclude_none=True)
    set_at(written["mixes"][mix], path.split("."), value, path)
    changed = Project(parse_experiment(written), project.workspace, is_read_only=True)
    return next(row for row in trial(changed).to_dicts() if row["mix"] == mix)


def numbers(at: str, n: int) -> Iterator[float]:
    low, high = RANGES[at]
    draw = Random(at)  # noqa: S311 - any numbers
    for _ in range(n):
        drawn = draw.uniform(low, high)
        yield round(drawn) if at.endswith("best") else round(drawn, 3)


def compared(client: TestClient, project: Project, at: str, n: int) -> None:
    for value in numbers(at, n):
        found = client.get("/thresholds/counts", params={"at": at, "value": value}).json()["here"]
        wanted = tried(project, at, value)
        for name in ("n_pairs", "n_images", "n_copies", "mean_score", "source_shares"):
            assert found[name] == wanted[name], (value, name)
        assert found["thresholds"] == wanted["thresholds"]
        uids = client.get("/thresholds/uids.txt", params={"at": at, "value": value}).text.split()
        assert len(uids) == wanted["n_images"]


def test_every_cut_off_can_be_moved(client: TestClient) -> None:
    page = client.get("/thresholds").text
    assert all(f'value="{at}"' in page for at in RANGES)


@pytest.mark.parametrize("at", RANGES)
def test_counts_are_those_of_mix_try_at_twenty_cut_offs(
    client: TestClient, project: Project, at: str
) -> None:
    compared(client, project, at, 20)


@pytest.mark.parametrize(
    "change",
    [(held_scores, "HELD_SCORES", 0), (held_scores, "HELD_TEXTS", 0), (groups, "ROWS_AT_ONCE", 1)],
    ids=lambda one: one[1],
)
@pytest.mark.parametrize("at", list(RANGES)[::2])
def test_they_are_the_same_where_less_is_held(
    client: TestClient,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    change: tuple[ModuleType, str, int],
) -> None:
    monkeypatch.setattr(*change)
    compared(client, project, at, 4)


@pytest.mark.parametrize("at", RANGES)
def test_what_enters_and_leaves_adds_up(client: TestClient, at: str) -> None:
    moved = set()
    for value in numbers(at, 6):
        asked = {"at": at, "value": value}
        counts = client.get("/thresholds/counts", params=asked).json()
        page = client.get("/thresholds/strips", params=asked).text
        enters, leaves = (n_of(page, word) for word in ("enter", "leave"))
        assert enters - leaves == counts["here"]["n_images"] - counts["file"]["n_images"]
        assert page.count("<figure") == min(enters, 12) + min(leaves, 12)
        moved.add((enters, leaves))
    assert len(moved) > 1


def n_of(page: str, word: str) -> int:
    title = next(one for one in page.split("<h2>")[1:] if word in one.split("</h2>")[0])
    return int(title.split(" ")[0])


def counted_by(client: TestClient, at: str = "two:rules.0.where.all.1.top") -> dict[str, Any]:
    return client.get("/thresholds/counts", params={"at": at, "value": 0.5}).json()["here"]


def test_the_pool_is_read_once_for_a_mix_and_again_when_scores_changed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = written_pool(tmp_path, project.experiment)
    beauty(copy)
    n_read: list[str] = []
    at_once = held_scores.counted_at_once

    def noted(*given: Any) -> Any:
        n_read.append("read")
        return at_once(*given)

    monkeypatch.setattr(held_scores, "counted_at_once", noted)
    with client_of(copy) as client:
        before = counted_by(client)
        assert counted_by(client, "two:rules.0.where.all.0.top")["n_pairs"]
        assert len(n_read) == 1
        forgotten(copy)
        assert counted_by(client)["n_pairs"] < before["n_pairs"]
        assert len(n_read) == 2
        counted_by(client, "pretty:rules.1.where.top")
        assert len(n_read) == 3


def forgotten(project: Project) -> None:
    """No caption of the first partition has a score by `other` any more."""
    partition = next(iter(project.partitions))
    for source in ("raw", "a"):
        at = {"scorer": "other", "source": source, "partition": partition}
        rows = project.workspace.tables.read(CLIP_SCORES, **at)
        replace(project, at, rows.with_columns(score=pl.lit(None, pl.Float32)))


def replace(project: Project, at: Mapping[str, str], rows: pl.DataFrame) -> None:
    """Scores and their histogram."""
    frame = rows.drop("scorer", "source", "partition")
    project.workspace.tables.replace(CLIP_SCORES, at, frame)
    project.workspace.tables.replace(SCORE_HISTOGRAMS, at, score_histogram(best_scores(frame)))


@pytest.mark.parametrize("repeats", [False, True])
def test_of_a_uid_that_two_partitions_have_each_counts(
    project: Project, tmp_path: Path, repeats: bool
) -> None:
    copy = written_pool(tmp_path, project.experiment)
    beauty(copy)
    if repeats:
        repeated(copy)
    with client_of(copy) as client:
        for at in ("two:rules.0.where.all.1.top", "listed:rules.0.where.all.1.top"):
            compared(client, copy, at, 4)


def repeated(project: Project) -> None:
    """The second partition has an image of the first as well, with scores of its own."""
    tables, (first, second, *_) = project.workspace.tables, project.partitions
    for scorer in ("clip", "other"):
        for source in ("raw", "a"):
            at = {"scorer": scorer, "source": source}
            rows = tables.read(CLIP_SCORES, **at, partition=second)
            known = tables.read(CLIP_SCORES, **at, partition=first).head(1)
            more = pl.concat([rows[1:], known.with_columns(shard=rows["shard"][0])])
            replace(project, {**at, "partition": second}, more)
