"""An experiment without evaluation: mixes are built, reported and exported, nothing is trained."""

from pathlib import Path

import pytest

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, parse_experiment
from recap_assets_tests.tiny import EXPERIMENT, Bench

EXPORTS = {"train": {"mix": "mixed", "to": "webdataset"}}


def curating(**parts: object) -> Experiment:
    kept = {name: part for name, part in EXPERIMENT.items() if name not in ("training", "report")}
    return parse_experiment({**kept, "evaluation": None, **parts})


def stages_of(bench: Bench) -> set[str]:
    return {node.key.partition("/")[0] for node in bench.graph.nodes.values()}


def test_nothing_is_trained_and_all_else_is_built(tmp_path: Path) -> None:
    bench = Bench(tmp_path, curating(exports=EXPORTS))
    bench.build(draws=True)
    trained = {"trained_clip", "training_pairs", "evaluation_results", "evaluation_images"}
    assert stages_of(bench).isdisjoint({*trained, "leaderboard"})
    assert stages_of(bench) >= {"curated_mixes", "clip_scores", "exports", "claims", "report"}
    page = bench.project.workspace.report.read_text()
    assert "tiny: 3 curated mixes." in page
    assert "What each mix holds" in page
    assert "not measured" not in page
    for mix in ("raw", "raw_top30", "mixed"):
        assert f"<span>{mix}</span>" in page
    shards = list((bench.project.workspace.exports / "train").rglob("*.tar"))
    assert shards


def test_what_was_trained_before_leaves_with_the_evaluation(tmp_path: Path) -> None:
    Bench(tmp_path, parse_experiment(dict(EXPERIMENT))).build()
    now = Bench(tmp_path, curating())
    leaving = {one.asset for one in now.graph.leaving()}
    assert leaving >= {"trained_clip/raw", "evaluation_results/mixed", "training_pairs/raw"}
    for one in now.graph.leaving():
        one.remove()
    assert not now.graph.leaving()


@pytest.mark.parametrize("section", [None, {}])
def test_null_and_empty_are_as_left_out(section: object) -> None:
    assert not curating(evaluation=section, training=None).trains
    assert curating(evaluation=section) == curating()
    again = parse_experiment(curating().model_dump(mode="json"))
    assert not again.trains


def test_a_search_needs_something_to_measure() -> None:
    over = {"mixes.raw_top30.rules.0.where.top": {"low": 0.1, "high": 0.5}}
    search = {"over": over, "samples_seen": 32, "trials": 2}
    with pytest.raises(ExperimentError, match=r"name a task in `evaluation\.tasks`"):
        curating(searches={"s": search})


def test_torchrun_adds_no_exports_where_nothing_is_trained() -> None:
    training = {"launcher": "torchrun", "scale": "debug"}
    assert not curating(training=training).exports
