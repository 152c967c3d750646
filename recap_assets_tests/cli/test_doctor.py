"""The doctor names each thing that stands between an experiment and its build."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.scores.tiny_clip import save_clip
from recap_assets_tests.storage.s3 import careless_server, environment
from recap_assets_tests.tiny import EXPERIMENT

Written = Callable[..., Path]


def wrong(output: str) -> list[str]:
    return [
        line.removeprefix("wrong  ") for line in output.splitlines() if line.startswith("wrong")
    ]


def test_a_good_file_is_in_order(recap: Recap, written: Written) -> None:
    done = recap("--experiment", written(), "doctor")
    assert (done.exit_code, wrong(done.output)) == (0, [])
    assert "Everything is in order." in done.output
    assert "pool: 60 samples are drawn" in done.output


def test_shards_are_counted_and_half_written_ones_named(
    recap: Recap, written: Written, tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat"])
    write_shard(tmp_path / "pool", 1, ["a tree"], suffix=".tar.part")
    pool = {"kind": "webdataset", "shards": str(tmp_path / "pool")}
    done = recap("--experiment", written(pool=pool), "doctor")
    assert done.exit_code == 0
    assert "pool: 1 shards" in done.output
    assert "note   pool: 1 left aside: 00000001.tar.part (a temporary name" in done.output
    assert "Everything is in order" not in done.output


def test_a_pool_that_is_not_there(recap: Recap, written: Written, tmp_path: Path) -> None:
    pool = {"kind": "webdataset", "shards": str(tmp_path / "nowhere")}
    done = recap("--experiment", written(pool=pool), "doctor")
    assert done.exit_code == 1
    (line,) = wrong(done.output)
    assert line.startswith("pool.shards: ")
    assert "there is no folder" in line
    assert "1 found wrong, 3 worth a look." in done.output  # drawn tasks and a small judge


@pytest.mark.parametrize("kind", ["sources", "scorers"])
def test_a_model_that_is_not_there(
    recap: Recap, written: Written, tmp_path: Path, kind: str
) -> None:
    missing = str(tmp_path / "no_model")
    specs = {
        "sources": {"a": {"kind": "transformers", "model": missing}},
        "scorers": {
            "clip": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": f"{missing}.pt"}
        },
    }
    done = recap("--experiment", written(**{kind: specs[kind]}), "doctor")
    assert done.exit_code == 1, done.output
    (line,) = wrong(done.output)
    assert line.startswith(f"{kind}.")
    assert missing in line


def test_a_repository_without_a_pinned_commit_is_named(
    recap: Recap, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersSource, "open", lambda *_: None)
    hub = {"kind": "transformers", "model": "some/captioner"}
    sources = {"a": hub, "b": {**hub, "revision": "0123abc"}}
    done = recap("--experiment", written(sources=sources), "doctor")
    assert done.exit_code == 0, done.output
    assert "sources.a: some/captioner is loaded at whatever commit the hub has" in done.output
    assert "sources.b: some/captioner is loaded at whatever" not in done.output


def test_a_revision_that_was_copied_from_an_example_is_wrong(
    recap: Recap, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersSource, "open", lambda *_: None)
    source = {"kind": "transformers", "model": "some/captioner", "revision": "<commit>"}
    done = recap("--experiment", written(sources={"a": source}), "doctor")
    assert done.exit_code == 1, done.output
    (line,) = wrong(done.output)
    assert line.startswith("sources.a.revision: <commit> stands for a commit")


def test_an_unknown_key_with_the_one_that_was_meant(recap: Recap, written: Written) -> None:
    pool = {**EXPERIMENT["pool"], "sampels": 3}
    done = recap("--experiment", written(pool=pool), "doctor")
    assert done.exit_code == 1
    (line,) = wrong(done.output)
    assert "pool.sampels: unknown key; did you mean 'samples'?" in line


def test_an_evaluation_set_and_a_lexicon_that_are_not_there(
    recap: Recap, written: Written, tmp_path: Path
) -> None:
    tasks = {"birds": {"kind": "webdataset", "path": str(tmp_path / "birds")}}
    changes = {
        "evaluation": {"tasks": tasks},
        "report": {},
        "diversity": {"sample": 30, "nouns": str(tmp_path / "nouns.txt")},
    }
    done = recap("--experiment", written(**changes), "doctor")
    assert done.exit_code == 1
    places = [line.partition(":")[0] for line in wrong(done.output)]
    assert places == ["evaluation.tasks.birds", "diversity.nouns"]


def test_a_data_folder_that_is_a_file(recap: Recap, written: Written, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    done = recap("--experiment", written(), "doctor")
    assert done.exit_code == 1
    (line,) = wrong(done.output)
    assert "cannot be written" in line


def test_a_bucket_that_would_lose_commits(
    recap: Recap, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("botocore.session", reason="the extra s3 brings it")
    with careless_server() as (url, _deleted):
        for name, value in {**environment(url), "RECAP_TABLES": "s3://bucket"}.items():
            monkeypatch.setenv(name, value)
        done = recap("--experiment", written(), "doctor")
    assert done.exit_code == 1
    (line,) = wrong(done.output)
    assert line.startswith("tables s3://bucket/tiny: the store wrote a key that was there already")


def test_what_the_sets_need_is_looked_for(recap: Recap, written: Written, tmp_path: Path) -> None:
    text = {"kind": "text_based", "wordnet": str(tmp_path), "synsets": "none.txt"}
    sets = {"basic": {"kind": "basic"}, "text": text, "file": {"uids": str(tmp_path / "no.npy")}}
    done = recap("--experiment", written(sets=sets), "doctor")
    assert "languages.fasttext: fasttext loads" in done.output
    told = dict(line.split(": ", 1) for line in wrong(done.output))
    assert "index.noun: cannot be read" in told["sets.text"]
    assert "no.npy: not a set of uids" in told["sets.file"]
    assert len(told) == 2


def test_a_model_that_is_not_here_is_left_to_the_build(
    recap: Recap, written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    clip = {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
    path = written(scorers={"clip": clip})
    done = recap("--experiment", path, "doctor")
    assert done.exit_code == 0, done.output
    assert "scorers.clip: ViT-B-32 is not on this machine, and doctor fetches nothing" in (
        done.output
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert recap("--experiment", path, "doctor").exit_code == 1


def test_large_models_are_loaded_only_where_that_is_asked(
    recap: Recap, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.cli.doctor.LARGE_BYTES", 1_000)
    folder = save_clip(tmp_path)
    scorers = {"clip": {"kind": "open_clip", "model": f"local-dir:{folder}", "device": "cpu"}}
    path = written(scorers=scorers)
    done = recap("--experiment", path, "doctor")
    assert (done.exit_code, wrong(done.output)) == (0, [])
    assert "of weights were checked by their headers, and not loaded" in done.output
    assert " loads\n" not in done.output
    done = recap("--experiment", path, "doctor", "--load")
    assert (done.exit_code, wrong(done.output)) == (0, [])
    assert f"scorers.clip: local-dir:{folder} loads\n" in done.output
    assert "not loaded" not in done.output
