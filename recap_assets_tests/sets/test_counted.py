"""Sets that count the whole pool: what is built again when one partition's texts change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recap_assets_tests.sets import test_assets
from recap_assets_tests.sets.test_assets import (
    STAGES,
    World,
    numbers_of,
    scored,  # noqa: F401 - a fixture
    vector_of,
    write_shard,
)

OTHERS = ("a photo of some red barns in fog", "cats", "eine alte Brücke über den Fluss", "one boat")
BY_TEXT = {
    "usual": ("text_counts", "text_frequencies"),
    "curated": ("entry_counts", "entry_probabilities"),
    "texts": ("text_signatures", "duplicates"),
}


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:  # noqa: F811
    np.save(tmp_path / "centroids.npy", np.stack([vector_of(n) for n in range(3)]))
    (tmp_path / "entries.txt").write_text("dog\nboat\nbarns\n")
    return scored.copied(tmp_path)


def sets_of(world: World) -> dict[str, Any]:
    return {
        "usual": {"kind": "frequency", "frequent_ngrams": None, "images_per_text": 100},
        "curated": {"kind": "entries", "entries": f"{world.folder}/entries.txt", "t": 100},
        "texts": {"kind": "unique", "by": "text", "jaccard": 1, "keep": "first"},
        "spread": {
            "kind": "balanced", "scorer": "clip", "clusters": 3, "per_cluster": 5,
            "centroids": f"{world.folder}/centroids.npy", "best_by": "raw",
        },
    }  # fmt: skip


def test_counts_of_one_partition_and_members_where_the_pools_counts_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = world.bench(sets_of(world))
    built = bench.build(*STAGES)
    for name, (counts, of_pool) in BY_TEXT.items():
        assert {key for asset, key in built if asset == f"{counts}/{name}"} == {
            "00000", "00001", "00002",
        }  # fmt: skip
        assert (f"{of_pool}/{name}", "") in built
    assert bench.build(*STAGES) == []
    monkeypatch.setattr(test_assets, "TEXTS", OTHERS)
    write_shard(world.folder, "00000001", list(range(8, 16)))
    monkeypatch.undo()
    again = world.bench(sets_of(world))
    again.project.scan()
    built = again.build(*STAGES)
    for name, (counts, of_pool) in BY_TEXT.items():
        assert [key for asset, key in built if asset == f"{counts}/{name}"] == ["00001"]
        assert (f"{of_pool}/{name}", "") in built
    # Nothing is too common here, so that members of other partitions stay as they are.
    for name in ("usual", "curated"):
        assert [key for asset, key in built if asset == f"uid_sets/{name}"] == ["00001"]
    # One text is kept of each again, which other partitions may have had.
    assert sorted(k for asset, k in built if asset == "uid_sets/texts") == [
        "00000",
        "00001",
        "00002",
    ]
    # Before and after, the first of four texts holds an entry, and the last.
    assert numbers_of(again, "curated") == {number for number in range(24) if number % 4 in (0, 3)}


def test_of_a_balanced_set_only_the_cut_offs_join_partitions(world: World) -> None:
    bench = world.bench(sets_of(world))
    bench.build(*STAGES)
    # Of each of three clusters of eight the best five, which are the last by their scores.
    assert numbers_of(bench, "spread") == set(range(9, 24))
    changed = {**sets_of(world)["spread"], "per_cluster": 8}
    built = world.bench({**sets_of(world), "spread": changed}).build(*STAGES)
    assert {asset for asset, _ in built} <= {
        "cluster_cuts/spread", "uid_sets/spread", "curated_mixes/spread",
    }  # fmt: skip
    again = world.bench({**sets_of(world), "spread": changed})
    assert numbers_of(again, "spread") == set(range(24))


def test_what_left_the_experiment_is_removed_with_its_counts(world: World) -> None:
    bench = world.bench(sets_of(world))
    bench.build(*STAGES)
    leaving = world.bench({}).graph.leaving()
    assets = {one.asset for one in leaving}
    for name, (counts, of_pool) in BY_TEXT.items():
        assert f"{counts}/{name}" in assets
        # A table that holds nothing of the set has nothing to remove.
        assert f"{of_pool}/{name}" in assets or of_pool == "entry_probabilities"
