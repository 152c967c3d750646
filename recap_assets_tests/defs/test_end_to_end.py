"""The main job through the command line, in processes of its own, as a user runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.tiny import EXPERIMENT

REPOSITORY = Path(__file__).parents[2]
ONE_MIX = {
    "name": "trimmed",
    "mixes": {"mixed": EXPERIMENT["mixes"]["mixed"]},
    "evaluation": {"tasks": {"coarse": EXPERIMENT["evaluation"]["tasks"]["coarse"]}},
    "report": {"mixed": ["mixed"], "examples": 3},
}

Recap = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recap") / "data"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def recap(data: Path) -> Recap:
    """Runs `recap` on an experiment file in the data folder."""

    def run(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "recap_assets.cli.main", "--data", str(data)]
        return subprocess.run(  # noqa: S603 - our own words
            [*command, "--experiment", str(file), *words],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def written(data: Path, content: dict[str, object]) -> Path:
    path = data.parent / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def experiment(data: Path, recap: Recap) -> Path:
    """The tiny experiment with one mix and one task, built."""
    path = written(data, {**EXPERIMENT, **ONE_MIX})
    done = recap(path, "build", "--yes", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Leaderboard" in done.stdout
    assert "ETA" in done.stdout
    return path


def test_a_build_leaves_the_report_and_nothing_to_do(
    experiment: Path, data: Path, recap: Recap
) -> None:
    page = (data / "report" / "index.html").read_text()
    assert page == (data / "trimmed" / "report" / "index.html").read_text()
    assert ">mixed<" in page
    again = recap(experiment, "build", "--yes", "--jobs", "1")
    assert again.returncode == 0
    assert "everything is up to date" in again.stdout
    assert json.loads(recap(experiment, "plan", "--json").stdout) == []


def test_status_accounts_for_every_row(experiment: Path, recap: Recap) -> None:
    rows = {row["asset"]: row for row in json.loads(recap(experiment, "status", "--json").stdout)}
    for row in rows.values():
        assert row["built"] == row["partitions"], row
        assert row["out_of_date"] == 0, row
        assert row["last_built"], row
    assert rows["raw_pool"]["rows"] == rows["embedded_world/pool"]["rows"] == 60
    n_usable = 60 - sum(rows["raw_pool"]["rejected"].values())
    assert rows["image_embeddings/clip"]["rows"] == n_usable
    assert rows["synthetic_captions/a"]["rows"] == n_usable
    assert rows["clip_scores/clip/raw"]["rows"] == n_usable


def test_trying_a_mix_counts_without_a_build(experiment: Path, recap: Recap) -> None:
    rows = json.loads(recap(experiment, "mix", "try", "--json").stdout)
    (mixed,) = rows
    assert mixed["mix"] == "mixed"
    assert sum(share["share"] for share in mixed["source_shares"]) == pytest.approx(1.0)
    assert mixed["n_pairs"] == mixed["n_images"] > 0
    assert json.loads(recap(experiment, "plan", "--json").stdout) == []


def test_a_build_that_fails_in_part_exits_with_1_and_words(data: Path, recap: Recap) -> None:
    write_shard(data.parent / "pool", 0, ["a boat", "a tree"])
    (data.parent / "metadata").mkdir()
    (data.parent / "metadata" / "0.parquet").write_text("this is no parquet file")
    pool = {
        "kind": "webdataset",
        "shards": str(data.parent / "pool"),
        "metadata": str(data.parent / "metadata"),
    }
    trimmed = {
        "name": "broken", "pool": pool, "corpora": {}, "models": {}, "sources": {},
        "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
        "mixes": {"raw": [{"use": "raw"}]}, "report": {},
        "evaluation": ONE_MIX["evaluation"],
    }  # fmt: skip
    done = recap(written(data, {**EXPERIMENT, **trimmed}), "build", "--yes", "--jobs", "1")
    assert done.returncode == 1
    assert "failed raw_pool[00000]: pool.metadata: " in done.stdout
    assert "1 failed; the rest is kept" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (data / "broken" / "world" / "evaluation" / "coarse").is_dir()
