"""The main job through the command line; what builds runs in a process of its own, as a user's."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from recap_assets.cli import terminal
from recap_assets_tests.cli.running import REPOSITORY, Recap, recap_in
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="builds by the command line, in processes of their own")

ONE_MIX = {
    "name": "trimmed",
    "mixes": {"mixed": EXPERIMENT["mixes"]["mixed"]},
    "evaluation": {"tasks": {"coarse": EXPERIMENT["evaluation"]["tasks"]["coarse"]}},
    "report": {"mixed": ["mixed"], "examples": 3},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recap") / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def recap(data: Path, monkeypatch: pytest.MonkeyPatch) -> Recap:
    """Runs `recap` in this process."""
    return recap_in(monkeypatch, data.parent)


def built(data: Path, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`recap build` of an experiment file, in a process of its own."""
    command = [sys.executable, "-m", "recap_assets.cli.main", "--data", str(data)]
    build = ("--experiment", str(file), "build", "--yes", "--jobs", "1")
    return subprocess.run(  # noqa: S603 - our own words
        [*command, *build, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def planned(recap: Recap, file: Path) -> list[dict[str, str]]:
    return json.loads(recap("-e", file, "plan", "--json").stdout)


def written(data: Path, content: dict[str, object]) -> Path:
    path = data.parent / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def experiment(data: Path) -> Path:
    """The tiny experiment with one mix and one task, built."""
    path = written(data, {**EXPERIMENT, **ONE_MIX})
    done = built(data, path)
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
    again = recap("-e", experiment, "build", "--yes", "--jobs", "1")
    assert again.exit_code == 0
    assert "everything is up to date" in again.stdout
    assert planned(recap, experiment) == []


def test_status_accounts_for_every_row(experiment: Path, recap: Recap) -> None:
    rows = {
        row["asset"]: row for row in json.loads(recap("-e", experiment, "status", "--json").stdout)
    }
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
    rows = json.loads(recap("-e", experiment, "mix", "try", "--json").stdout)
    (mixed,) = rows
    assert mixed["mix"] == "mixed"
    assert sum(share["share"] for share in mixed["source_shares"]) == pytest.approx(1.0)
    assert mixed["n_pairs"] == mixed["n_images"] > 0
    assert planned(recap, experiment) == []


def test_a_build_that_fails_in_part_exits_with_1_and_words(data: Path) -> None:
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
    done = built(data, written(data, {**EXPERIMENT, **trimmed}))
    assert done.returncode == 1
    assert "failed raw_pool[00000]: pool.metadata: " in done.stdout
    assert "1 failed; the rest is kept" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (data / "broken" / "world" / "evaluation" / "coarse").is_dir()


def test_another_file_is_compared_and_nothing_is_touched(
    experiment: Path, data: Path, recap: Recap
) -> None:
    content = {**EXPERIMENT, **ONE_MIX, "name": "other", "mixes": {"mixed": [{"use": "raw"}]}}
    other = written(data, content)
    done = recap("-e", other, "plan", "--against", str(experiment), "--json")
    rows = {(row["asset"], row["partition"]): row for row in json.loads(done.stdout)}
    thresholds = rows["thresholds/mixed", ""]
    assert thresholds["state"] == "ready"
    assert thresholds["reason"].startswith("mix.rules [")
    assert not thresholds["is_guess"]
    assert rows["curated_mixes/mixed", "00001"]["state"] == "blocked"
    assert not any(asset.startswith(("clip_scores", "models")) for asset, _ in rows)
    assert not (data / "other").exists()
    assert planned(recap, experiment) == []


def test_why_names_what_was_edited(experiment: Path, recap: Recap) -> None:
    command = ("--set", "sources.a.decoding.temperature=0.9", "plan", "--why")
    lines = recap("-e", experiment, *command, "curated_mixes/mixed[00001]").stdout.splitlines()
    assert lines[0].startswith("curated_mixes/mixed[00001]: upstream will change: ")
    edited = "synthetic_captions/a[00001]: captioner.decoding.temperature 0.75 → 0.9"
    assert edited in [line.strip() for line in lines]
    reached = recap("-e", experiment, "plan", "--check", "--why", "leaderboard")
    assert "up to date" in reached.stdout
    assert reached.exit_code == 0
    unknown = recap("-e", experiment, "plan", "--why", "curated_mixes/mixed[9]")
    assert unknown.exit_code == 1
    assert "no such partition; it has 00000, 00001, 00002" in unknown.stderr


def test_what_left_the_experiment_goes_after_a_yes_and_its_lineage_stays(
    experiment: Path, data: Path, recap: Recap, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixes = {**ONE_MIX["mixes"], "raw": EXPERIMENT["mixes"]["raw"]}
    more = data.parent / "more.yaml"
    more.write_text(yaml.safe_dump({**EXPERIMENT, **ONE_MIX, "mixes": mixes}))
    select = ("--select", "curated_mixes/raw")
    refused = built(data, more, *select)
    assert refused.returncode == 1
    assert f"are those of {experiment}" in refused.stderr
    done = recap("-e", more, "build", "--yes", "--jobs", "1", *select, "--take-over")
    assert done.exit_code == 0, done.output
    left = planned(recap, experiment)
    assert {(row["asset"], row["state"]) for row in left} == {
        ("curated_mixes/raw", "leaving"),
        ("thresholds/raw", "leaving"),
    } - ({("thresholds/raw", "leaving")} if not _has_thresholds(data, "raw") else set())
    asked = recap("-e", experiment, "build", "--jobs", "1", "--take-over")
    assert asked.exit_code == 1
    assert "Nothing was done: nobody can be asked here" in asked.stdout
    piped = recap("-e", experiment, "build", answer="y\n")
    assert piped.exit_code == 1, "what comes through a pipe is no answer"
    kept = recap("-e", experiment, "build", "--yes", "--jobs", "1")
    assert f"{len(left)} partitions that left the experiment stay: `--remove`" in kept.stdout
    assert planned(recap, experiment) == left
    monkeypatch.setattr(terminal, "is_watched", lambda: True)
    for answer in ("n\n", ""):
        refused = recap("-e", experiment, "build", answer=answer)
        question = f"Build 0 partitions, and remove {len(left)} that left the experiment? [y/N]"
        assert question in refused.stdout
        assert refused.exit_code == 1
    assert planned(recap, experiment) == left
    done = recap("-e", experiment, "build", "--remove")
    assert "their lineage is kept" in done.stdout
    assert planned(recap, experiment) == []
    lineage = pl.read_delta(str(data / "trimmed" / "tables" / "lineage"))
    assert lineage.filter(pl.col("asset") == "curated_mixes/raw").height == 3


def _has_thresholds(data: Path, mix: str) -> bool:
    rows = pl.read_delta(str(data / "trimmed" / "tables" / "thresholds"))
    return mix in rows["mix"].to_list()


def test_every_partition_has_its_lineage(experiment: Path, data: Path, recap: Recap) -> None:
    tables = data / "trimmed" / "tables"
    rows = pl.read_delta(str(tables / "lineage")).filter(~pl.col("reused"))
    status = json.loads(recap("-e", experiment, "status", "--json").stdout)
    for row in status:
        of_asset = rows.filter(pl.col("asset") == row["asset"])
        assert of_asset["partition"].n_unique() == row["partitions"], row["asset"]
    mixed = rows.filter(asset="curated_mixes/mixed", partition="00001").row(0, named=True)
    assert json.loads(mixed["reads"])["thresholds/mixed"] == "all"
    assert json.loads(mixed["decides"])["mix"]["rules"][0]["where"]["top"] == 0.3
    assert json.loads(mixed["table_versions"])["curated_mixes"] >= 1
    pointer = json.loads(mixed["input_events"])["thresholds/mixed"]
    assert rows.filter(event_id=pointer)["asset"].to_list() == ["thresholds/mixed"]
    kept = pl.read_delta(str(tables / "experiments"))
    assert mixed["experiment"] in kept["experiment"].to_list()
