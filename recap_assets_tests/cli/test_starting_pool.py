"""`recap init` for a pool that is there, and what doctor says of drawn parts beside one."""

from pathlib import Path

import pytest

from recap_assets.cli.doctor_realism import drawn_parts
from recap_assets.cli.starting_file import starting_text
from recap_assets.cli.starting_pool import NoPoolError, file_for, pool_at
from recap_assets.specs.loading import load_experiment, parse_experiment
from recap_assets_tests.evaluation.sets_on_disk import labelled, png, write_set, write_tar
from recap_assets_tests.tiny import EXPERIMENT


def shards(folder: Path) -> Path:
    for name in ("shards/00000000.tar", "shards/00000001.tar"):
        write_tar(folder / name, [("a.png", png(1)), ("a.txt", b"a")])
    return folder


def loaded(text: str, folder: Path):
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_experiment(path)


def test_a_pool_of_shards_gets_a_file_with_real_models_and_the_sets_beside_it(
    tmp_path: Path,
) -> None:
    pool = shards(tmp_path / "pools" / "web ${HOME}")
    (pool / "metadata").mkdir()
    (pool / "metadata" / "0.parquet").write_bytes(b"")
    write_set(tmp_path / "eval" / "My set-1", "classification", [labelled("a", "0")])
    write_set(pool / "2nd", "classification", [labelled("a", "0")])
    experiment = loaded(file_for(pool_at(pool)), tmp_path)
    assert experiment.pool.word == "webdataset"
    assert experiment.pool.shards == str(pool / "shards")  # type: ignore[attr-defined]
    assert experiment.pool.metadata_folder == str(pool / "metadata")
    assert {name: task.word for name, task in experiment.tasks.items()} == {
        "my_set_1": "webdataset", "set_2nd": "webdataset",
    }  # fmt: skip
    assert experiment.diversity.nouns == "english"
    assert list(drawn_parts(experiment)) == []


def test_a_folder_of_images_with_a_table_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(png(1))
    (tmp_path / "texts.csv").write_text("image,text\na.jpg,a\n")
    experiment = loaded(file_for(pool_at(tmp_path)), tmp_path)
    assert experiment.pool.word == "folder"
    assert not experiment.trains


def test_the_shards_where_one_stands_are_found_and_else_it_is_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo, what = starting_text(None)
    assert what == "the embedded world"
    shards(tmp_path)
    text, what = starting_text(None)
    assert what == "a webdataset pool; evaluation sets beside it: none"
    assert "kind: embedded" not in text
    assert starting_text("embedded")[0] == demo


def test_a_folder_without_a_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPoolError, match="no pool was found"):
        starting_text(str(tmp_path))
    with pytest.raises(NoPoolError, match="no pool was found"):
        starting_text(str(tmp_path / "gone"))


def test_drawn_parts_and_small_judges_of_a_real_pool_are_worth_a_look(tmp_path: Path) -> None:
    tasks = {
        "coarse": {"kind": "embedded", "task": "coarse"},
        "alike": {"kind": "neighbours", "of": "coarse"},
        "own": {"kind": "webdataset", "path": str(tmp_path)},
    }
    given = {**EXPERIMENT, "evaluation": {"tasks": tasks}, "report": {}}
    real = {
        **given,
        "pool": {"kind": "webdataset", "shards": str(tmp_path)},
        "diversity": {"nouns": "embedded"},
    }
    found = list(drawn_parts(parse_experiment(real)))
    assert all(good is None for good, _ in found)
    assert [text.partition(":")[0] for _, text in found] == [
        "evaluation.tasks.coarse", "evaluation.tasks.alike", "scorers.clip", "diversity.nouns",
    ]  # fmt: skip
    assert list(drawn_parts(parse_experiment(given))) == []
