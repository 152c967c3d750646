"""A search on the tiny world: what it trains on is what a mix of the same settings holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from recap_assets.artefacts import CLAIMS, CURATED_MIXES, EVALUATION_RESULTS, SEARCH_TRIALS
from recap_assets.graph.building import build_partition
from recap_assets.graph.planner import plan
from recap_assets.search import proxies
from recap_assets.search.shown import found_yaml
from recap_assets.specs.mixes import Mix
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

TOP = "mixes.raw_top30.rules.0.where.top"
SEARCHES: dict[str, Any] = {
    # The one proposal is the mix `raw_top50`, at full size.
    "same": {"over": {TOP: {"choices": [0.5]}}, "samples_seen": 64, "trials": 1},
    "small": {"over": {TOP: {"low": 0.1, "high": 0.9}}, "samples_seen": 32, "trials": 2,
              "seeds": [0, 5]},
}  # fmt: skip
SMALL = SEARCH_TRIALS.key("small")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    experiment = tiny_experiment(
        corpora={"pairs": EXPERIMENT["corpora"]["pairs"]},
        models={"scorer": EXPERIMENT["models"]["scorer"]},
        sources={},
        mixes={
            name: [{"use": "raw", "where": {"top": top}}]
            for name, top in (("raw_top30", 0.3), ("raw_top50", 0.5))
        },
        report={"examples": 0},
        searches=SEARCHES,
    )
    return Bench(tmp_path_factory.mktemp("data"), experiment)


@pytest.fixture(scope="module")
def trained(bench: Bench) -> list[str]:
    """Builds all; the trainings of the search `small`, which was killed after its second."""
    trained: list[str] = []

    def killed_after(n: int) -> Callable[..., Any]:
        def evaluate(project: Any, mix: str, step: Any) -> Any:
            if len(trained) == n:
                raise KeyboardInterrupt
            samples = project.experiment.training.samples_seen
            tops = [rule.where.top for rule in project.experiment.mixes[mix].rules]
            trained.append(f"{tops} {samples} {step.partition}")
            return original(project, mix, step)

        return evaluate

    original = proxies.evaluate_mix
    bench.build("world", "pool", "models", "scores", "mixes", "training", "evaluation")
    with pytest.MonkeyPatch.context() as patch:
        for n in (2, -1):
            patch.setattr(proxies, "evaluate_mix", killed_after(n))
            node = bench.graph.nodes[SMALL]
            if n == -1:
                bench.memory.keep(node, "", build_partition(bench.graph, bench.memory, node, ""))
                continue
            with pytest.raises(KeyboardInterrupt):
                build_partition(bench.graph, bench.memory, node, "")
    bench.build()
    return trained


def rows_of(bench: Bench, name: str) -> pl.DataFrame:
    return bench.project.workspace.tables.read(SEARCH_TRIALS, search=name)


def _claimed(rows: pl.DataFrame) -> str:
    """What the verdict in the table is as that of a claim."""
    said = rows["verdict"].drop_nulls().unique().item()
    words = {"better": "reproduced", "no better": "not reproduced", "undecided": "not measured"}
    return words[said]


@pytest.mark.usefixtures("trained")
def test_a_proposal_gives_what_a_mix_of_the_same_settings_gives(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    rows = {row["trial"]: row for row in rows_of(bench, "same").iter_rows(named=True)}
    for trial, mix in (("trial 0", "raw_top50"), ("raw_top30", "raw_top30")):
        results = tables.read(EVALUATION_RESULTS, mix=mix, seed=0).filter("is_main")
        assert rows[trial]["value"] == pytest.approx(results["value"].mean(), abs=1e-12)
        assert rows[trial]["n_pairs"] == tables.read(CURATED_MIXES, mix=mix).height
    assert rows["trial 0"]["n_pairs"] > rows["raw_top30"]["n_pairs"]


def test_after_a_kill_each_training_was_done_once_and_is_the_same_again(
    bench: Bench, trained: list[str]
) -> None:
    rows = rows_of(bench, "small")
    # Two proposals and the mix with few samples; the better with all, and the mix, whose training
    # with seed 0 is the experiment's own.
    assert len(trained) == len(set(trained)) == 3 + 2 + 1
    assert rows.height == 3 + 2 + 2
    assert not (bench.project.workspace.scratch / SMALL).exists() or not list(
        (bench.project.workspace.scratch / SMALL).iterdir()
    )
    known = bench.memory.latest(SMALL)[""].data_version
    node = bench.graph.nodes[SMALL]
    again = build_partition(bench.graph, bench.memory, node, "", force=True)
    assert again.outcome.data_version == known
    assert not plan(bench.graph, bench.memory).to_build


@pytest.mark.usefixtures("trained")
def test_nothing_of_a_trial_is_left_in_the_workspace(bench: Bench) -> None:
    workspace = bench.project.workspace
    assert {path.name for path in workspace.trained.iterdir()} == {"raw_top30", "raw_top50"}
    for table in (CURATED_MIXES, EVALUATION_RESULTS):
        assert set(workspace.tables.read(table)["mix"]) == {"raw_top30", "raw_top50"}


@pytest.mark.usefixtures("trained")
def test_the_page_and_the_materialization_show_the_verdict_and_the_mix_to_paste(
    bench: Bench,
) -> None:
    page = bench.project.workspace.report.read_text()
    assert "<h2>Searches</h2>" in page
    assert "raw_top30_found" in page
    claims = bench.project.workspace.tables.read(CLAIMS).filter(of="search")
    verdicts = {f"search {name}": _claimed(rows_of(bench, name)) for name in SEARCHES}
    assert dict(claims.select("name", "verdict").iter_rows()) == verdicts
    assert verdicts["search same"] == "not measured"
    experiment, rows = bench.project.experiment, rows_of(bench, "same")
    written = found_yaml(experiment, experiment.searches["same"], rows)
    found = yaml.safe_load(written or "")["mixes"]["raw_top30_found"]
    assert Mix.model_validate(found).rules == experiment.mixes["raw_top50"].rules
    assert bench.memory.latest(SMALL)[""].rejected == ()


def test_a_search_reads_all_that_one_of_its_words_may_name(tmp_path: Path) -> None:
    over = {
        "mixes.raw.rules.0.use": {"choices": ["raw", "a", "nobody"]},
        "mixes.raw.rules.0.where.top": {"low": 0.1, "high": 0.9},
    }
    experiment = tiny_experiment(searches={"words": {"over": over, "samples_seen": 32}})
    graph = Bench(tmp_path, experiment).graph
    read = {dep.asset for dep in graph.nodes[SEARCH_TRIALS.key("words")].dependencies}
    assert {"synthetic_captions/a", "clip_scores/clip/a", "clip_scores/clip/raw"} <= read
    assert "curated_mixes/mixed" not in read
    assert SEARCH_TRIALS.key("words") in {dep.asset for dep in graph.nodes["report"].dependencies}
