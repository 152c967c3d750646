"""`recap leaderboard`, from results written without any training."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter

from recap_assets.artefacts.evaluation import CAPTION_METRICS, EVALUATION_RESULTS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.cli.forms import Leaderboard
from recap_assets.specs.datacomp import AVERAGED, TASKS
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.tiny import EXPERIMENT

Written = Callable[..., Path]


def results(names: tuple[str, ...], value: float) -> pl.DataFrame:
    rows = [
        (name, TASKS[name].main_metric or "acc_age_avg", value, bool(TASKS[name].main_metric), 10)
        for name in names
    ]
    return pl.DataFrame(rows, schema=EVALUATION_RESULTS.unsliced, orient="row")


@pytest.fixture
def file(written: Written, tmp_path: Path) -> Path:
    datacomp = {"root": str(tmp_path / "sets")}
    captions = {"sets": ["retrieval"]}
    evaluation = {**EXPERIMENT["evaluation"], "datacomp": datacomp, "captions": captions}
    return written(evaluation=evaluation)


@pytest.fixture
def tables(tmp_path: Path, recap: Recap):  # noqa: ARG001 - it names the data folder
    return Workspace.from_environment("tiny").tables


def test_complete_results_give_every_aggregate(recap: Recap, file: Path, tables) -> None:
    tables.replace(EVALUATION_RESULTS, {"mix": "raw", "seed": 0}, results(tuple(TASKS), 0.25))

    done = recap("--experiment", file, "leaderboard", "--datacomp")

    assert done.exit_code == 0, done.output
    assert done.output.count("0.250") == 5
    assert "Partial" not in done.output
    printed = recap("--experiment", file, "leaderboard", "--datacomp", "--json").stdout
    (row,) = TypeAdapter(Leaderboard).validate_json(printed, strict=True)["datacomp"]
    assert (row["mix"], row["missing"]) == ("raw", [])
    assert len(row["groups"]) == 5
    assert all(values == [0.25] for values in row["groups"].values())


def test_partial_results_have_no_average_and_say_what_is_missing(
    recap: Recap, file: Path, tables
) -> None:
    some = tuple(name for name in TASKS if name not in ("mnist", "pcam"))
    tables.replace(EVALUATION_RESULTS, {"mix": "raw", "seed": 0}, results(some, 0.25))

    done = recap("--experiment", file, "leaderboard", "--datacomp")

    assert done.output.count("0.250") == 3  # ImageNet, shifts, retrieval
    assert "Partial: 36 of 38 tasks" in done.output
    assert "Missing: MNIST, PatchCamelyon" in done.output


def test_results_are_written_as_datacomp_reads_them(
    recap: Recap, file: Path, tables, tmp_path: Path
) -> None:
    tables.replace(EVALUATION_RESULTS, {"mix": "raw", "seed": 0}, results(tuple(TASKS), 0.25))

    done = recap("--experiment", file, "leaderboard", "--jsonl", tmp_path / "out")

    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "raw" / "0" / "eval_results.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["key"] for line in lines] == [task.key for task in TASKS.values()]
    counted = [line for line in lines if line["metrics"]["main_metric"] is not None]
    assert len(counted) == len(AVERAGED) == 38


def test_captioners_are_shown_with_all_metrics(recap: Recap, file: Path, tables) -> None:
    rows = [("retrieval", "CIDEr", 0.789, 12, None), ("retrieval", "CLIP-S", 0.612, 12, "clip")]
    frame = pl.DataFrame(rows, schema=CAPTION_METRICS.unsliced, orient="row")
    tables.replace(CAPTION_METRICS, {"source": "a"}, frame)

    done = recap("--experiment", file, "leaderboard", "--captions")

    assert done.exit_code == 0, done.output
    assert all(word in done.output for word in ("CIDEr", "0.789", "CLIP-S", "0.612"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing was evaluated yet"),
        (("--datacomp",), "no mix was evaluated on DataComp's tasks yet"),
        (("--captions",), "no captioner was measured"),
    ],
)
def test_what_is_not_there_is_said(
    recap: Recap, file: Path, tables, words: tuple[str, ...], told: str
) -> None:
    tables.create(LEADERBOARD)

    done = recap("--experiment", file, "leaderboard", *words)

    assert done.exit_code == 1
    assert told in done.output


def test_an_experiment_without_datacomp_has_no_such_results(recap: Recap, written: Written) -> None:
    done = recap("--experiment", written(), "leaderboard", "--datacomp")

    assert done.exit_code == 1
    assert "no `evaluation.datacomp`" in done.output


def test_doctor_lists_the_sets_that_are_missing(recap: Recap, file: Path) -> None:
    done = recap("--experiment", file, "doctor")

    assert done.exit_code == 1
    assert "evaluation.datacomp: 0 of 40 sets. 40 of DataComp's sets are missing" in done.output
    assert "GeoDE (geode): wds_geode_test" in done.output
