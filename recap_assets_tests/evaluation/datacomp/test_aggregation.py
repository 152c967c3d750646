"""DataComp's aggregates, held to the results that its authors published."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.evaluation.datacomp.aggregation import aggregate, group_rows, result_lines
from recap_assets.report.leaderboard import leaderboard
from recap_assets.specs.datacomp import AVERAGED, GROUPS, N_AVERAGED, TASKS

PUBLISHED = Path(__file__).with_name("published") / "datacomp_baselines.csv"
GROUPS_OF_AUTHORS = {
    "ImageNet dist. shifts": {
        "ImageNet Sketch", "ImageNet v2", "ImageNet-A", "ImageNet-O", "ImageNet-R", "ObjectNet",
    },
    "VTAB": {
        "Caltech-101", "CIFAR-100", "CLEVR Counts", "CLEVR Distance", "Describable Textures",
        "EuroSAT", "KITTI Vehicle Distance", "Oxford Flowers-102", "Oxford-IIIT Pet",
        "PatchCamelyon", "RESISC45", "SVHN", "SUN397",
    },
    "Retrieval": {"Flickr", "MSCOCO", "WinoGAViL"},
}  # fmt: skip
"""Of DataComp's `aggregate_scores.py` (MIT licence, 2023, its authors)."""

# ImageNet, shifts, VTAB, retrieval and average of the paper's table of verified baselines.
VERIFIED = {
    "commonpool_s_s13m_b4k": (0.027, 0.037, 0.158, 0.117, 0.142),
    "commonpool_s_clip_s13m_b4k": (0.051, 0.055, 0.190, 0.119, 0.173),
    "commonpool_m_s128m_b4k": (0.175, 0.152, 0.259, 0.219, 0.258),
    "commonpool_m_basic_s128m_b4k": (0.226, 0.193, 0.284, 0.251, 0.285),
    "commonpool_m_clip_s128m_b4k": (0.273, 0.230, 0.338, 0.251, 0.328),
    "datacomp_m_s128m_b4k": (0.297, 0.239, 0.346, 0.231, 0.328),
    "commonpool_l_s1b_b8k": (0.459, 0.378, 0.426, 0.419, 0.437),
    "commonpool_l_clip_s1b_b8k": (0.578, 0.474, 0.538, 0.466, 0.529),
    "datacomp_l_s1b_b8k": (0.631, 0.508, 0.546, 0.498, 0.537),
}
NAMES = {task.dataset: name for name, task in TASKS.items()}


def published() -> dict[str, dict[str, float]]:
    """Per-task values of each published model, by the task's name here."""
    rows = pl.read_csv(PUBLISHED).to_dicts()
    return {
        row["pretrained"]: {NAMES[key]: value for key, value in row.items() if key in NAMES}
        for row in rows
    }


def by_the_authors(file: io.StringIO) -> dict[str, float]:
    """What `aggregate_scores.py` computes of a file of results, without pandas."""
    lines = [json.loads(line) for line in file]
    results = {
        line["dataset"]: line["metrics"]["main_metric"]
        for line in lines
        if line["metrics"]["main_metric"] is not None
    }
    assert len(results) == 38, f"Results file has unexpected size, {len(results)}"
    scores = {"ImageNet": results["ImageNet 1k"]}
    for group, datasets in GROUPS_OF_AUTHORS.items():
        scores[group] = np.mean([results[dataset] for dataset in datasets])
    return {**scores, "Average": np.mean(list(results.values()))}


def rows_of(mix: str, values: dict[str, float], seed: int = 0) -> pl.DataFrame:
    rows = [
        (mix, seed, name, TASKS[name].main_metric or "acc_age_avg", value,
         TASKS[name].main_metric is not None, TASKS[name].size)
        for name, value in values.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=EVALUATION_RESULTS.required, orient="row")


def test_the_list_has_forty_tasks_and_an_average_over_exactly_38():
    assert (len(TASKS), len(AVERAGED), N_AVERAGED) == (40, 38, 38)
    assert {name for name in TASKS if name not in AVERAGED} == {"fairface", "utkface"}
    assert [len(tasks) for tasks in GROUPS.values()] == [1, 6, 13, 3, 38]
    for group, datasets in GROUPS_OF_AUTHORS.items():
        assert {TASKS[name].dataset for name in GROUPS[group]} == datasets


@pytest.mark.parametrize("model", VERIFIED)
def test_published_values_give_the_published_aggregates(model: str):
    found = aggregate(published()[model])

    assert found.missing == ()
    assert list(found.values) == [
        "ImageNet",
        "ImageNet dist. shifts",
        "VTAB",
        "Retrieval",
        "Average",
    ]
    # Half a unit of the third digit, and what four-digit values lose.
    assert tuple(found.values.values()) == pytest.approx(VERIFIED[model], abs=0.00056)


def test_the_average_is_the_one_that_the_authors_publish():
    averages = dict(
        pl.read_csv(PUBLISHED).select("pretrained", "Average perf. on 38 datasets").rows()
    )

    for model, values in published().items():
        assert aggregate(values).values["Average"] == pytest.approx(averages[model], abs=5e-5)


def test_the_file_of_results_is_read_by_the_authors_script():
    for model, values in published().items():
        faces = {"fairface": 0.5, "utkface": 0.4}
        file = io.StringIO(result_lines(rows_of(model, {**values, **faces})))

        assert by_the_authors(file) == pytest.approx(aggregate(values).values, abs=1e-12)


def test_a_line_has_key_dataset_and_metrics_as_datacomp_writes_them():
    rows = pl.DataFrame(
        [
            ("m", 0, "fmow", "acc_region:2", 0.5, False, 7),
            ("m", 0, "fmow", "acc_worst_region", 0.25, True, 4),
            ("m", 0, "fairface", "acc_gender_x_race:1_gender:0", 0.75, False, 9),
            ("m", 0, "mine", "acc1", 0.9, True, 10),
        ],
        schema=EVALUATION_RESULTS.required,
        orient="row",
    )

    first, second = [json.loads(line) for line in result_lines(rows).splitlines()]

    assert first == {
        "key": "wilds/fmow",
        "dataset": "FMoW",
        "metrics": {
            "acc_region:2": 0.5, "count_region:2": 7, "acc_worst_region": 0.25,
            "main_metric": 0.25,
        },
    }  # fmt: skip
    assert second["key"] == "fairness/fairface"
    assert second["metrics"] == {
        "acc_gender_x_race:1_gender:0": 0.75, "count_race:1_gender:0": 9, "main_metric": None,
    }  # fmt: skip


def test_results_of_two_models_do_not_fit_into_one_file():
    values = {"mnist": 0.5}

    with pytest.raises(ValueError, match="of one model"):
        result_lines(pl.concat([rows_of("a", values), rows_of("b", values)]))


@pytest.mark.parametrize("lost", AVERAGED)
def test_without_one_task_there_is_no_average_and_no_group_that_has_it(lost: str):
    values = {k: v for k, v in published()["datacomp_m_s128m_b4k"].items() if k != lost}

    found = aggregate(values)

    assert found.missing == (lost,)
    assert set(found.values) == {group for group, tasks in GROUPS.items() if lost not in tasks}


def test_the_leaderboard_lists_groups_and_refuses_the_average_of_an_incomplete_run():
    whole = published()["commonpool_m_s128m_b4k"]
    partial = {name: value for name, value in whole.items() if name not in ("mnist", "svhn")}
    results = pl.concat([rows_of("whole", whole), rows_of("partial", partial)])
    mixes = pl.DataFrame(
        [("whole", 5, 1.0), ("partial", 5, 1.0)],
        schema=["mix", "n_pairs", "raw_share"],
        orient="row",
    )

    board = leaderboard(results, mixes, AVERAGED, with_groups=True)

    means = {(row["mix"], row["task"]): row["mean"] for row in board.to_dicts()}
    assert means["whole", "average"] == pytest.approx(0.258, abs=6e-4)
    assert means["whole", "datacomp/vtab"] == pytest.approx(0.259, abs=6e-4)
    assert means["partial", "datacomp/shifts"] == means["whole", "datacomp/shifts"]
    assert ("partial", "average") not in means
    assert ("partial", "datacomp/vtab") not in means
    assert set(group_rows(results)["task"]) == {
        "datacomp/shifts", "datacomp/vtab", "datacomp/retrieval",
    }  # fmt: skip
