"""Four shards, three captioners, five mixes: an edit rebuilds what depends on it, and nothing else.

What is counted are executions of the nodes' functions.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.table import Table
from recap_assets.graph.planner import plan
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import load_experiment, parse_experiment
from recap_assets_tests.tiny import EXPERIMENT, Bench

STAGES = ("world", "pool", "models", "captions", "scores", "diversity", "mixes")
SHARDS = tuple(f"{i:05d}" for i in range(4))


def source(**decoding: object) -> dict[str, Any]:
    return {
        "kind": "embedded",
        "model": "captioner",
        "decoding": {"max_tokens": 10, "seed": 1, **decoding},
    }


CONTENT: Mapping[str, Any] = {
    **EXPERIMENT,
    "pool": {"kind": "embedded", "samples": 60, "samples_per_shard": 15},
    "sources": {
        "a": source(),
        "b": source(seed=2),
        "sure": source(top_k=1, min_tokens=4, max_tokens=4),
    },
    "report": {"raw": "raw", "examples": 3},
    "mixes": {
        "raw": [{"use": "raw"}],
        "raw_top": [{"use": "raw", "where": {"top": 0.3}}],
        "with_a": [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}],
        "with_b": [{"use": "raw", "where": {"top": 0.3}}, {"use": "b"}],
        "with_sure": [{"use": "sure", "where": {"top": 0.5}}],
    },
}

Computed = Mapping[str, set[str]]


class World:
    """The experiment, built; each test edits a copy of its file's content."""

    def __init__(self, bench: Bench) -> None:
        self.folder = bench.project.workspace.data
        self.bench = bench

    def after(self, experiment: Experiment) -> Computed:
        """What is computed for an edited experiment: partitions by asset."""
        self.bench = Bench(self.folder, experiment, self.bench.memory)
        computed: dict[str, set[str]] = {}
        for asset, partition in self.bench.build(*STAGES):
            computed.setdefault(asset, set()).add(partition)
        return computed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("world"), parse_experiment(CONTENT))
    bench.build(*STAGES)
    return bench


@pytest.fixture
def world(built: Bench, tmp_path: Path) -> World:
    """The world in a folder of its own, up to date with the unedited file."""
    return World(built.copied(tmp_path / "world"))


def edited(**changes: Any) -> dict[str, Any]:
    """The file's content with values set at key paths, parts joined by two underscores."""
    content = deepcopy(dict(CONTENT))
    for path, value in changes.items():
        at = content
        *parents, last = path.split("__")
        for key in parents:
            at = at[int(key) if isinstance(at, list) else key]
        at[int(last) if isinstance(at, list) else last] = value
    return content


def no_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        msg = "a model was loaded"
        raise AssertionError(msg)

    monkeypatch.setattr("recap_assets.captions.assets.opened", refuse)
    monkeypatch.setattr("recap_assets.scores.assets.embedder_of", refuse)
    monkeypatch.setattr("recap_assets.scores.embeddings.embedder_of", refuse)


def test_a_captioners_temperature_reaches_what_reads_it(world: World) -> None:
    computed = world.after(parse_experiment(edited(sources__a__decoding__temperature=3.0)))
    assert set(computed) == {
        "synthetic_captions/a",
        "clip_scores/clip/a",
        "diversity_statistics/a",
        "diversity_summary",
        "curated_mixes/with_a",
    }
    for asset in ("synthetic_captions/a", "clip_scores/clip/a", "curated_mixes/with_a"):
        assert computed[asset] == set(SHARDS)


def test_the_plan_names_the_temperature(world: World) -> None:
    experiment = parse_experiment(edited(sources__a__decoding__temperature=3.0))
    bench = Bench(world.folder, experiment, world.bench.memory)
    ready = plan(bench.graph, bench.memory).ready
    reasons = {e.asset: e.reason for e in ready if bench.graph.nodes[e.asset].stage in STAGES}
    assert reasons == {"synthetic_captions/a": "captioner.decoding.temperature 0.75 → 3.0"}


def test_a_threshold_rebuilds_its_mix_and_loads_no_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_model_is_loaded(monkeypatch)
    computed = world.after(parse_experiment(edited(mixes__raw_top__0__where__top=0.2)))
    assert computed == {"thresholds/raw_top": {""}, "curated_mixes/raw_top": set(SHARDS)}


def test_order_and_comments_rebuild_nothing(world: World, tmp_path: Path) -> None:
    backwards = dict(reversed([(key, _backwards(value)) for key, value in CONTENT.items()]))
    path = tmp_path / "experiment.yaml"
    path.write_text("# a comment\n" + yaml.safe_dump(backwards, sort_keys=False) + "\n# another\n")
    assert path.read_text().index("training:") < path.read_text().index("name:")
    assert world.after(load_experiment(path)) == {}


def _backwards(value: Any) -> Any:
    if isinstance(value, dict) and "raw" not in value:
        return {key: _backwards(value[key]) for key in reversed(value)}
    return value


def test_a_new_shard_rebuilds_itself_and_the_mixes_whose_threshold_moved(world: World) -> None:
    before = {
        mix: world.bench.memory.records[f"thresholds/{mix}"][""].data_version
        for mix in CONTENT["mixes"]
    }
    computed = world.after(parse_experiment(edited(pool__samples=75)))
    moved = {
        mix
        for mix, version in before.items()
        if world.bench.memory.records[f"thresholds/{mix}"][""].data_version != version
    }
    assert "raw" not in moved
    assert moved
    new = {"00004"}
    for asset, partitions in computed.items():
        kind, _, mix = asset.partition("/")
        if kind == "curated_mixes":
            assert partitions == (new | set(SHARDS) if mix in moved else new), asset
        elif kind not in ("thresholds", "diversity_summary"):
            assert partitions == new, asset
    assert not any(asset.startswith("models/") for asset in computed)


def test_an_edit_that_changes_no_caption_ends_there(world: World) -> None:
    computed = world.after(parse_experiment(edited(sources__sure__decoding__temperature=3.0)))
    assert computed == {"synthetic_captions/sure": set(SHARDS)}


@pytest.mark.long(reason="the pipeline built again and again")
def test_what_leaves_the_experiment_is_planned_for_removal_and_removed(world: World) -> None:
    content = edited()
    del content["sources"]["b"], content["mixes"]["with_b"]
    computed = world.after(parse_experiment(content))
    assert set(computed) == {"diversity_summary"}
    current = plan(world.bench.graph, world.bench.memory)
    leaving = {entry.asset for entry in current.entries if entry.state == "leaving"}
    assert leaving == {
        "synthetic_captions/b",
        "clip_scores/clip/b",
        "diversity_statistics/b",
        "thresholds/with_b",
        "curated_mixes/with_b",
    }
    for one in current.removals:
        one.remove()
    tables = world.bench.project.workspace.tables
    assert not plan(world.bench.graph, world.bench.memory).removals
    of_b = tables.slices(_table("synthetic_captions"))
    assert {row["source"] for row in of_b} == {"a", "sure"}
    # Its records are still there, and so is the knowledge that its content is not.
    assert set(world.after(parse_experiment(CONTENT))) == {
        "synthetic_captions/b",
        "clip_scores/clip/b",
        "diversity_statistics/b",
        "diversity_summary",
        "thresholds/with_b",
        "curated_mixes/with_b",
    }


@pytest.mark.long(reason="the pipeline built again and again")
def test_shards_that_leave_the_pool_take_their_rows_with_them(world: World) -> None:
    world.after(parse_experiment(edited(pool__samples=30)))
    current = plan(world.bench.graph, world.bench.memory)
    gone = {e.asset: set() for e in current.entries if e.state == "leaving"}
    for entry in current.entries:
        if entry.state == "leaving":
            gone[entry.asset].add(entry.partition)
    assert gone["raw_pool"] == gone["curated_mixes/raw"] == {"00002", "00003"}
    assert gone["embedded_world/pool"] >= {"00002", "00003"}
    for one in current.removals:
        one.remove()
    rows = world.bench.project.workspace.tables.slices(_table("clip_scores"))
    assert {row["partition"] for row in rows} == set(SHARDS[:2])


def _table(name: str) -> Table:

    return TABLES[name]
