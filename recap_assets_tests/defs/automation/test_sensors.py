"""One line switches on what runs by itself; partitions are those of finished shards."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.defs.assets import POOL_PARTITIONS
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.automation.sensors import (
    condition_sensors,
    in_sync_sensor,
    new_shards_sensor,
)
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session
from recap_assets.specs.automation import Automation
from recap_assets_tests.defs.shards import write_shard

Opened = Callable[..., Session]


@pytest.mark.parametrize(
    ("automation", "status"), [({}, "STOPPED"), ({"enabled": True}, "RUNNING")]
)
def test_one_line_switches_the_sensors_on(
    opened: Opened, automation: dict[str, object], status: str
) -> None:
    sensors = definitions_of(opened(automation=automation)).get_repository_def().sensor_defs
    found = {sensor.name: sensor.default_status.value for sensor in sensors}
    # What shows that something is out of date starts nothing, and is always on.
    assert found == {"out_of_date": status, "new_shards": status, "in_sync": "RUNNING"}


def test_many_assets_are_shared_out_to_several_sensors() -> None:
    found = condition_sensors(Automation(), [f"captions/{i}" for i in range(1_001)])
    assert [sensor.name for sensor in found] == ["out_of_date", "out_of_date_2", "out_of_date_3"]


@pytest.fixture
def look(opened: Opened, tmp_path: Path):
    """Evaluates the sensor for new shards, as the daemon does."""
    write_shard(tmp_path / "pool", 0, ["a boat"])
    session = opened(pool={"kind": "webdataset", "shards": str(tmp_path / "pool")})
    instance = session.open_instance()
    sensor = new_shards_sensor(Watch(session), Automation())

    def evaluate() -> tuple[list[str], list[str]] | str:
        found = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
        if not found.dynamic_partitions_requests:
            return found.skip_message
        keys: dict[type, list[str]] = {
            dg.AddDynamicPartitionsRequest: [],
            dg.DeleteDynamicPartitionsRequest: [],
        }
        for request in found.dynamic_partitions_requests:
            assert request.partitions_def_name == POOL_PARTITIONS
            keys[type(request)] += request.partition_keys
        added, gone = keys.values()
        instance.add_dynamic_partitions(POOL_PARTITIONS, added)
        for key in gone:
            instance.delete_dynamic_partition(POOL_PARTITIONS, key)
        return added, gone

    return evaluate


def test_a_shard_that_lands_gives_a_partition_when_it_is_complete(look, tmp_path: Path) -> None:
    assert look() == "no new shards"
    half = write_shard(tmp_path / "pool", 1, ["a tree"], suffix=".tar.part")
    assert look() == "no new shards"
    whole = half.read_bytes()
    half.unlink()
    path = tmp_path / "pool" / "00000001.tar"
    for size in (512, 2_000, len(whole) - 10_000):
        path.write_bytes(whole[:size])
        assert look() == "no new shards"
    path.write_bytes(whole)
    assert look() == (["00001"], [])
    assert look() == "no new shards"


def test_a_shard_that_left_takes_its_partition_with_it(look, tmp_path: Path) -> None:
    path = write_shard(tmp_path / "pool", 1, ["a tree"])
    assert look() == (["00001"], [])
    path.unlink()
    assert look() == ([], ["00001"])


def test_an_empty_pool_is_said_and_changes_nothing(look, tmp_path: Path) -> None:
    (tmp_path / "pool" / "00000000.tar").unlink()
    assert "no .tar shard" in look()


def test_the_sensor_for_in_sync_tells_what_changed_only(
    session: Session, instance: dg.DagsterInstance
) -> None:
    sensor = in_sync_sensor(Watch(session), Automation())
    repository = definitions_of(session).get_repository_def()

    def evaluate():
        context = dg.build_sensor_context(instance=instance, repository_def=repository)
        return sensor.evaluate_tick(context)

    fresh = evaluate().asset_events
    assert {event.asset_key for event in fresh} == repository.asset_graph.materializable_asset_keys
    for event in fresh:
        instance.report_runless_asset_event(event)
    after = evaluate()
    assert not after.asset_events
    n = len(session.graph.nodes)
    assert after.skip_message == f"{n} of {n} assets are out of date, as before"
