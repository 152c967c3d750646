"""Relative places of an experiment file are below the file's own folder."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from recap_assets.specs.loading import load_experiment
from recap_assets_tests.tiny import EXPERIMENT


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, beside that of the file."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def written(folder: Path, **parts: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**EXPERIMENT, **parts}))
    return path


@pytest.mark.usefixtures("elsewhere")
def test_places_are_below_the_file_wherever_one_stands(tmp_path: Path) -> None:
    blip = {"kind": "transformers", "model": "./blip"}
    imported = {
        "kind": "import",
        "caption": "c",
        "files": ["a.jsonl", "/abs/b.jsonl", "s3://bucket/c.jsonl"],
    }
    pool = {"kind": "webdataset", "shards": "pool/shards", "metadata": "pool/metadata"}
    tasks = {"mine": {"kind": "webdataset", "path": "../eval"}}
    path = written(
        tmp_path / "home",
        pool=pool,
        sources={"blip": blip, "given": imported},
        sets={"kept": {"uids": "kept.npy"}},
        evaluation={"tasks": tasks},
        report={},
        mixes={"raw": [{"use": "raw"}]},
    )
    home = path.parent.resolve()
    found: Any = load_experiment(path)
    assert found.pool.shards == str(home / "pool/shards")
    assert found.pool.metadata == str(home / "pool/metadata")
    assert found.sources["blip"].model == str(home / "blip")
    assert found.sources["given"].files == (
        str(home / "a.jsonl"), "/abs/b.jsonl", "s3://bucket/c.jsonl",
    )  # fmt: skip
    assert found.sets["kept"].uids == str(home / "kept.npy")
    assert found.tasks["mine"].path == str(home.parent / "eval")
    assert load_experiment(Path("../home/mine.yaml")) == found


def test_places_beside_the_file_are_shown_without_dots(tmp_path: Path) -> None:
    parts = {
        "pool": {"kind": "webdataset", "shards": "../pool/*.tar"},
        "sources": {"blip": {"kind": "transformers", "model": "../blip"}},
        "scorers": {"b": {"kind": "open_clip", "model": "local-dir:../clip", "pretrained": "x"}},
        "sets": {"kept": {"uids": "sub/../../kept.npy"}},
        "mixes": {"raw": [{"use": "raw"}]},
        "report": None,
    }
    found: Any = load_experiment(written(tmp_path / "home", **parts))
    beside = tmp_path.resolve()
    assert found.pool.shards == f"{beside}/pool/*.tar"
    assert found.sources["blip"].model == f"{beside}/blip"
    assert found.scorers["b"].model == f"local-dir:{beside}/clip"
    assert found.sets["kept"].uids == f"{beside}/kept.npy"


def test_dots_behind_a_link_stay_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "far/within").mkdir(parents=True)
    (tmp_path / "far/kept.npy").touch()
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to(tmp_path / "far/within")
    found: Any = load_experiment(written(home, sets={"kept": {"uids": "link/../kept.npy"}}))
    assert Path(found.sets["kept"].uids).samefile(tmp_path / "far/kept.npy")


def test_a_place_with_a_nul_is_refused_by_whoever_opens_it(tmp_path: Path) -> None:
    path = written(tmp_path / "home", sets={"kept": {"uids": "../a\0.npy"}})
    found: Any = load_experiment(path)
    assert found.sets["kept"].uids.endswith("../a\0.npy")


@pytest.mark.parametrize("is_there", [False, True])
def test_a_name_of_a_hub_is_a_place_where_the_folder_is(
    tmp_path: Path, elsewhere: Path, is_there: bool
) -> None:
    path = written(tmp_path / "home", sources={"a": {"kind": "transformers", "model": "org/blip"}})
    (elsewhere / "org/blip").mkdir(parents=True)
    if is_there:
        (path.parent / "org/blip").mkdir(parents=True)
    found: Any = load_experiment(path)
    wanted = str(path.parent / "org/blip") if is_there else "org/blip"
    assert found.sources["a"].model == wanted


def test_what_was_set_beside_the_file_is_below_where_one_stands(
    tmp_path: Path, elsewhere: Path
) -> None:
    pool = {"kind": "webdataset", "shards": "shards"}
    path = written(tmp_path / "home", pool=pool)
    found: Any = load_experiment(path, ["pool.shards=mine/shards"])
    assert found.pool.shards == str(elsewhere / "mine/shards")


def test_where_a_file_is_decides_nothing(tmp_path: Path) -> None:
    pool = {"kind": "webdataset", "shards": "shards"}
    sets = {"kept": {"uids": "kept.npy"}}
    one, two = (written(tmp_path / name, pool=pool, sets=sets) for name in ("one", "two"))
    first, second = load_experiment(one), load_experiment(two)
    assert first.pool != second.pool
    assert first.pool.decides() == second.pool.decides()
    assert first.sets["kept"].decides() == second.sets["kept"].decides()
    assert first.mixes == second.mixes
