"""A build with a budget stops between shards, and the next one continues where it stopped."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recap_assets.captions.charges import charges_of
from recap_assets.defs.metering import BUDGET_TAG
from recap_assets.defs.purse import Purse
from recap_assets.graph.batches import Batch
from recap_assets.graph.budget import METER, Budget, Meter, OutOfBudgetError, Rate, Spent
from recap_assets.graph.estimates import Estimates
from recap_assets.lineage.costs import added_up, ledger
from recap_assets_tests.defs.counting_kinds import POINTS, asked
from recap_assets_tests.defs.test_rows import (
    BARE,
    CAPTIONS,
    IMAGE_SCORERS,
    SCORERS,
    SOURCES,
    Platform,
    pool_of,
    shards,
)  # fmt: skip
from recap_assets_tests.registering import registered


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    settings: dict[str, Any] = {
        **BARE, "sources": SOURCES, "scorers": SCORERS, "image_scorers": IMAGE_SCORERS,
        "pool": pool_of(tmp_path, 2), "prices": {"cpu_hour": 3_600, "gpu_hour": 7_200},
        "mixes": {"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
    }  # fmt: skip
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path / "site", "tasks", *families):
        found = Platform(tmp_path, tmp_path / "data", settings)
        found.write(shards())
        yield found
    METER.set(None)


def purse(platform: Platform, n_gpus: int = 0, **budget: Any) -> Purse:
    def estimates() -> Estimates:
        return Estimates(platform.graph, platform.memory)

    return Purse(
        Budget(**budget), platform.project, estimates, n_gpus, {CAPTIONS}, clock=lambda: 1_000.0
    )


def batch(platform: Platform, asset: str = CAPTIONS) -> Batch:
    node = platform.graph.nodes[asset]
    return Batch((node,), tuple(platform.graph.partitions(node)))


def test_a_partition_stops_between_shards_and_the_next_build_continues(platform: Platform) -> None:
    platform.build({"pool"})
    meter = Meter(Budget(captions=5), rates={CAPTIONS: Rate(captions=1)})
    METER.set(meter)
    with pytest.raises(OutOfBudgetError, match="3 more images of synthetic_captions/a"):
        platform.build({"captions"})
    assert asked()["captions"] == 3
    assert meter.spent.captions == 3
    METER.set(None)
    assert platform.build({"captions"})["captions"] == 3
    facts = platform.facts(CAPTIONS)
    assert facts["rows_computed"] == 6
    assert facts["seconds_resumed"] > 0
    # What the first half took is paid for, too, and nothing is paid twice.
    tables = platform.project.workspace.tables
    costs = ledger(tables, charges_of(platform.project)).filter(asset=CAPTIONS)
    row = added_up(costs, ()).row(0, named=True)
    assert (row["rows"], row["rows_reused"], row["seconds_reused"]) == (6, 0, 0.0)
    assert row["seconds"] >= facts["seconds_resumed"] - 0.001
    assert row["money"] == pytest.approx(row["seconds"])


def test_a_batch_begins_as_far_as_it_is_expected_to_fit(platform: Platform) -> None:
    platform.settings["pool"] = pool_of(platform.folder, 1)
    platform.build({"pool"})
    whole = batch(platform)
    assert len(whole.partitions) == 2
    assert purse(platform, captions=6).affordable(whole) == whole
    # Captions stop between shards, so that one of which not all fits is begun.
    first = purse(platform, captions=5).affordable(whole)
    assert first is not None
    assert first.partitions == whole.partitions[:1]
    assert purse(platform, captions=1).affordable(whole) == first
    (node,) = whole.nodes
    in_one = replace(whole, nodes=(replace(node, by_shard=False),))
    assert purse(platform, captions=1).affordable(in_one) is None, "no meter stops it elsewhere"
    embeddings = batch(platform, "image_embeddings/clip")
    assert purse(platform, captions=1).affordable(embeddings) == embeddings
    assert purse(platform, until=1_000.1).affordable(embeddings) is None
    assert purse(platform, money=0.1).affordable(embeddings) is None
    # A second costs 7,200 / 3,600 on a GPU.
    seconds = Estimates(platform.graph, platform.memory).of_asset(embeddings.nodes[0].key).seconds
    half = purse(platform, n_gpus=1, money=3 * seconds).affordable(embeddings)
    assert half is not None
    assert half.partitions == embeddings.partitions[:1]


def test_what_is_at_work_is_set_apart_and_what_it_leaves_comes_back(platform: Platform) -> None:
    platform.settings["pool"] = pool_of(platform.folder, 1)
    platform.build({"pool"})
    whole, of = batch(platform), purse(platform, captions=8)
    tags = of.begin(whole)
    assert json.loads(tags[BUDGET_TAG])["left"]["captions"] == 8
    assert of.left.captions == 2
    of.end(whole, Spent(captions=3))
    assert (of.left.captions, of.spent.captions) == (5, 3)
    of.end(whole, Spent(captions=5))
    assert of.affordable(whole) is None
