"""DataComp's tasks and the captioners' metrics through the stages, on real sets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pycocoevalcap.cider.cider import Cider
from pydantic import ValidationError

from recap_assets.artefacts.evaluation import CAPTION_METRICS, EVALUATION_IMAGES, EVALUATION_RESULTS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.captions.opened import opened as opened_captioner
from recap_assets.engines.trained import load_trained_clip
from recap_assets.evalsets.sets import RetrievalSet, load_set
from recap_assets.evaluation.captions.assets import uid_of
from recap_assets.evaluation.captions.measured import mixes_of_one_source, reference_metrics
from recap_assets.evaluation.captions.tokens import caption_tokens
from recap_assets.evaluation.datacomp.aggregation import result_lines
from recap_assets.evaluation.datacomp.root import MissingSetsError
from recap_assets.evaluation.tasks import sets_of, sets_version
from recap_assets.evaluation.versions import set_versions
from recap_assets.evaluation.zero_shot import evaluate
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Step
from recap_assets.graph.planner import plan
from recap_assets.graph.project import Project
from recap_assets.report.claims import evaluate_claims
from recap_assets.shards.manifest import PoolError
from recap_assets_tests.evaluation.datacomp_on_disk import (
    association_rows,
    write_association_cache,
    write_grouped,
)
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, write_set
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

OF_TASK = {
    "wds_cifar10_test": "cifar10",
    "wds_vtab-caltech101_test": "caltech101",
    "wds_flickr_1k_test_image_text_retrieval_test": "flickr8k_dev",
    "wds_mscoco_2014_5k_test_image_text_retrieval_test": "coco_mini",
}
"""Real sets that stand for DataComp's below a root."""


def invented_root(root: Path) -> Path:
    """Tiny sets of four of DataComp's tasks."""
    classes = ["a", "b", "c", "d", "e", "f"]
    write_grouped(
        root / "wds_wilds-fmow_test", [(i % 6, (i % 4, 1, 0)) for i in range(12)], classes
    )
    write_grouped(root / "wds_geode_test", [(i % 6, (i % 3, 0)) for i in range(12)], classes)
    write_grouped(root / "wds_mnist_test", [(i % 6, (0,)) for i in range(12)], classes)
    write_association_cache(root, association_rows(np.random.default_rng(0), [10, 12, 5]))
    return root


def evaluated(**datacomp: object) -> dict[str, Any]:
    """The tiny experiment's `evaluation` with DataComp's tasks."""
    return {**EXPERIMENT["evaluation"], "datacomp": datacomp}


def small(tmp_path: Path, evaluation: Mapping[str, Any]) -> Bench:
    """One mix only."""
    experiment = tiny_experiment(
        mixes={"raw": [{"use": "raw"}]},
        report={"raw": "raw", "examples": 0},
        evaluation=evaluation,
    )
    return Bench(tmp_path / "data", experiment)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Built with four of DataComp's tasks at hand, and captions measured on two sets."""
    folder = tmp_path_factory.mktemp("evaluation")
    members = [
        m
        for i in range(9)
        for m in captioned(f"s{i}", f"a cat {i}\ntwo cats\na dog {i % 3}", 25 * i)
    ]
    write_set(folder / "own", "retrieval", [members])
    evaluation = {
        "tasks": {
            **EXPERIMENT["evaluation"]["tasks"],
            "own": {"kind": "webdataset", "path": str(folder / "own")},
        },
        "datacomp": {"root": str(invented_root(folder / "root")), "tasks": "available"},
        "captions": {"sets": ["retrieval", "own"], "bags": 3},
    }
    sources = {
        **EXPERIMENT["sources"],
        "hot": {**EXPERIMENT["sources"]["a"], "decoding": {"max_tokens": 10, "temperature": 1.5}},
    }
    mixes = {"a": [{"use": "a"}], "hot": [{"use": "hot"}], "raw": [{"use": "raw"}]}
    experiment = tiny_experiment(
        evaluation=evaluation, sources=sources, mixes=mixes, report={"examples": 0}
    )
    bench = Bench(folder / "data", experiment)
    bench.build()
    return bench


def test_those_that_are_there_are_evaluated_and_have_no_average(bench: Bench) -> None:
    board = bench.project.workspace.tables.read(LEADERBOARD)
    assert set(board["task"]) == {
        "coarse", "retrieval", "own", "fmow", "geode", "mnist", "winogavil",
    }  # fmt: skip
    mains = dict(board.select("task", "metric").rows())
    assert mains["fmow"] == "acc_worst_region"
    assert mains["winogavil"] == "jaccard_score_10-12"
    assert bench.project.workspace.report.exists()


def test_the_images_of_every_task_are_looked_for_in_the_pool(bench: Bench) -> None:
    images = bench.project.workspace.tables.read(EVALUATION_IMAGES)
    counts = dict(images.group_by("task").len().rows())
    assert counts == {
        "coarse": 24, "retrieval": 12, "own": 9, "fmow": 12, "geode": 12, "mnist": 12,
        "winogavil": 27,
    }  # fmt: skip


def test_a_set_that_comes_makes_the_results_out_of_date(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.evaluation.tasks.LOOK_SECONDS", 1e-9)
    before = sets_version(bench.project)
    datacomp = bench.project.experiment.evaluation.datacomp
    assert datacomp is not None
    added = write_grouped(Path(datacomp.root) / "wds_stl10_test", [(0, (0,))] * 2, ["a", "b"])
    assert sets_version(bench.project) != before
    wanted = {entry.asset for entry in plan(bench.graph, bench.memory).ready}
    assert "evaluation_results/raw" in wanted
    for path in sorted(added.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    added.rmdir()
    assert sets_version(bench.project) == before


def test_all_tasks_are_refused_with_a_list_where_some_are_missing(tmp_path: Path) -> None:
    root = invented_root(tmp_path / "root")
    bench = small(tmp_path, evaluated(root=str(root)))
    with pytest.raises(MissingSetsError) as told:
        sets_of(bench.project)
    assert str(told.value).startswith("36 of DataComp's sets are missing below")
    assert "wds_imagenet1k_test, from the Hugging Face dataset djghosh/wds_imagenet1k_test" in str(
        told.value
    )


def test_where_nothing_is_available_that_is_said(tmp_path: Path) -> None:
    bench = small(tmp_path, evaluated(root=str(tmp_path / "nowhere"), tasks="available"))
    with pytest.raises(MissingSetsError, match="40 of DataComp's sets are missing"):
        sets_of(bench.project)


def test_real_sets_stand_for_tasks_of_datacomp(shared_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, folder in OF_TASK.items():
        (root / name).symlink_to(shared_data / "eval" / folder)
    bench = small(tmp_path, {"datacomp": {"root": str(root), "tasks": "available"}, "average": []})
    bench.build(
        "world", "pool", "models", "captions", "scores", "mixes", "training_pairs", "training"
    )
    compute_and_write(bench.graph.nodes[EVALUATION_RESULTS.key("raw")], Step("0"))
    results = bench.project.workspace.tables.read(EVALUATION_RESULTS)
    lines = [json.loads(line) for line in result_lines(results).splitlines()]
    assert {line["dataset"]: line["key"] for line in lines} == {
        "Caltech-101": "vtab/caltech101", "CIFAR-10": "cifar10",
        "Flickr": "retrieval/flickr_1k_test_image_text_retrieval",
        "MSCOCO": "retrieval/mscoco_2014_5k_test_image_text_retrieval",
    }  # fmt: skip
    by_name = {line["dataset"]: line["metrics"] for line in lines}
    caltech = by_name["Caltech-101"]
    assert caltech["main_metric"] == caltech["mean_per_class_recall"]
    flickr = by_name["Flickr"]
    mean = 0.5 * (flickr["image_retrieval_recall@1"] + flickr["text_retrieval_recall@1"])
    assert flickr["main_metric"] == flickr["mean_recall@1"] == pytest.approx(mean)
    sizes = dict(results.filter("is_main").select("task", "n_samples").rows())
    assert (sizes["caltech101"], sizes["cifar10"]) == (1188, 1200)


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        ({"datacomp": {"root": "x", "tasks": ["imagenet"]}}, "DataComp has no task 'imagenet'"),
        ({"datacomp": {"root": "x", "tasks": []}}, "name a task at least"),
        (
            {"tasks": {"mnist": {"kind": "embedded", "task": "fine"}}, "datacomp": {"root": "x"}},
            r"tasks.mnist: a task of `datacomp` has this name too",
        ),
        (
            {**EXPERIMENT["evaluation"], "captions": {"sets": ["elsewhere"]}},
            "evaluation.captions.sets: there is no 'elsewhere'; known are coarse, retrieval",
        ),
        (
            {**EXPERIMENT["evaluation"], "captions": {"sets": ["retrieval"], "scorer": "x"}},
            "evaluation.captions.scorer: there is no 'x'; known are clip",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(evaluation: dict[str, Any], told: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=told):
        tiny_experiment(evaluation=evaluation, report={})


def test_what_was_evaluated_before_there_were_these_keys_stays(tmp_path: Path) -> None:
    plain = Bench(tmp_path, tiny_experiment())
    captions = {**EXPERIMENT["evaluation"], "captions": {"sets": ["retrieval"]}}
    with_captions = Bench(tmp_path, tiny_experiment(evaluation=captions))
    for key in ("evaluation_results/raw", "leaderboard"):
        decides = plain.graph.nodes[key].decides
        assert decides == with_captions.graph.nodes[key].decides
        assert "datacomp" not in decides
        assert "captions" not in decides


def test_every_captioner_is_measured_on_every_set(bench: Bench) -> None:
    rows = bench.project.workspace.tables.read(CAPTION_METRICS)
    counts = {(s, t): n for s, t, n in rows.group_by("source", "task").len().rows()}
    assert counts == {(s, t): 10 for s in ("a", "hot") for t in ("retrieval", "own")}
    assert dict(rows.select("task", "n_images").unique().rows()) == {"retrieval": 12, "own": 9}
    of_scorer = set(rows.drop_nulls("scorer")["metric"])
    assert of_scorer == {
        "CLIP-S", "RefCLIP-S", "self_retrieval_recall@1", "self_retrieval_recall@1:bags_of_3",
    }  # fmt: skip


def test_the_metrics_are_those_of_the_captions_that_the_captioner_writes(bench: Bench) -> None:
    project = bench.project
    folder = project.experiment.evaluation.tasks["own"]
    opened = load_set(folder.path, "test", decode)  # type: ignore[union-attr]
    assert isinstance(opened, RetrievalSet)
    [(images, references)] = opened.batches(100)
    with opened_captioner(project, project.experiment.sources["a"]) as captioner:
        # Another batch than the stage's, in another order: a caption depends on neither.
        written = [captioner.caption([images[i]], [uid_of("own", i)])[0][0].text for i in range(9)]
    res = {i: [" ".join(caption_tokens(text))] for i, text in enumerate(written)}
    gts = {i: [" ".join(caption_tokens(r)) for r in own] for i, own in enumerate(references)}
    rows = project.workspace.tables.read(CAPTION_METRICS, source="a")
    value = rows.row(by_predicate=(pl.col("task") == "own") & (pl.col("metric") == "CIDEr"))[3]
    assert value == pytest.approx(float(Cider().compute_score(gts, res)[0]), rel=1e-9, abs=1e-12)


def test_the_claim_about_the_reference_metric_is_judged_by_them(bench: Bench) -> None:
    project = bench.project
    assert mixes_of_one_source(project) == {"a": "a", "hot": "hot", "raw": "raw"}
    found = reference_metrics(project)
    assert found is not None
    assert {(source, mix) for source, mix, _ in found.rows()} == {("a", "a"), ("hot", "hot")}
    # With an average of one's own; there is none of DataComp's, since sets are missing.
    averaged = project.experiment.evaluation.model_copy(update={"average": ("coarse", "own")})
    experiment = project.experiment.model_copy(update={"evaluation": averaged})
    rows = evaluate_claims(Project(experiment, project.workspace)).frame
    [figure] = rows.filter(name="reference metric")["figure"]
    for source, _, value in found.rows():
        assert f"{source} {value:.2f}, average" in figure


def test_another_scorer_or_set_measures_anew_and_nothing_else(bench: Bench) -> None:
    evaluation = bench.project.experiment.evaluation.model_dump(mode="json", exclude_none=True)
    evaluation["captions"] = {"sets": ["own"]}
    given = bench.project.experiment.model_dump(mode="json", exclude_none=True)
    changed = type(bench.project.experiment).model_validate({**given, "evaluation": evaluation})
    again = Bench(bench.project.workspace.data, changed, bench.memory)
    assert {asset for asset, _ in again.build()} == {
        "caption_metrics/a", "caption_metrics/hot", "claims", "report",
    }  # fmt: skip


def test_without_being_asked_for_nothing_is_measured(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tiny_experiment())
    assert not [key for key in bench.graph.nodes if key.startswith("caption_metrics")]
    assert reference_metrics(bench.project) is None


def test_the_real_evaluation_is_what_the_stage_writes(bench: Bench) -> None:
    project = bench.project
    embedder = load_trained_clip(project.workspace.checkpoint("raw", 0), 8)
    one = next(s for s in sets_of(project) if s.name == "fmow")
    opened = one.open(decode)
    ours = {m.metric: m.value for m in evaluate(embedder, opened, batch_size=5)}
    rows = project.workspace.tables.read(EVALUATION_RESULTS).filter(pl.col("task") == "fmow")
    assert dict(rows.select("metric", "value").rows()) == pytest.approx(ours)


@pytest.mark.parametrize("has_folder", [False, True], ids=["no folder", "no shards"])
def test_a_set_that_is_not_there_is_named_by_its_task(tmp_path: Path, has_folder: bool) -> None:
    folder = tmp_path / "set"
    if has_folder:
        (folder / "test").mkdir(parents=True)
    what = "no .tar shard in" if has_folder else "there is no folder"
    with pytest.raises(PoolError) as found:
        list(set_versions("wrong", str(folder), "test"))
    assert str(found.value).startswith(f"evaluation.tasks.wrong.path: {what} {folder}/test")
