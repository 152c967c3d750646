"""What some assets can do by themselves."""

from recap_assets.graph.planner import plan
from recap_assets.graph.reach import within
from recap_assets_tests.tiny import Bench, tiny_experiment

MIXES = ("thresholds/raw_top30", "curated_mixes/raw_top30")


def names(bench: Bench, *stages: str) -> list[str]:
    assets = {node.key for node in bench.graph.nodes.values() if node.stage in stages}
    found = within(bench.graph, plan(bench.graph, bench.memory), assets)
    return [f"{entry.asset}[{entry.partition}]" for entry in found]


def test_what_waits_for_nothing_outside_is_within_reach(tmp_path):
    bench = Bench(tmp_path, tiny_experiment())
    assert names(bench, "pool") == []
    assert names(bench, "pool", "world")[-3:] == [f"raw_pool[{i:05d}]" for i in range(3)]
    bench.build("world")
    assert names(bench, "pool") == [f"raw_pool[{i:05d}]" for i in range(3)]


def test_one_partition_that_waits_keeps_back_what_reads_all(tmp_path):
    bench = Bench(tmp_path, tiny_experiment())
    bench.build("world", "models", "pool", "scores")
    assert {name.partition("[")[0] for name in names(bench, "mixes")} >= set(MIXES)
    del bench.memory.records["clip_scores/clip/raw"]["00001"]
    reached = names(bench, "mixes")
    assert not [name for name in reached if name.startswith(MIXES)]
    assert names(bench, "mixes", "scores")
