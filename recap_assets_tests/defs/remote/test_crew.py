"""The actors of an asset, which builds share and leave to each other."""

import os
import time
from collections.abc import Iterator

import pytest

from recap_assets.defs.remote.crew import MOST_FAILED_STARTS, Crew
from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.workers import connect

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from recap_assets_tests.defs.remote.cluster import (  # noqa: E402 - needs ray
    ON_A_BUSY_MACHINE,
    REPOSITORY,
    nodes,
)

pytestmark = pytest.mark.long(reason="a cluster of several processes a node")

SECONDS = 600


@pytest.fixture(scope="module")
def settings() -> Iterator[RemoteSettings]:
    """Of a cluster that has room for one actor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        )
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in ON_A_BUSY_MACHINE.items():
            patch.setenv(name, value)
        with nodes(1) as cluster:
            found = RemoteSettings(str(cluster.address), idle_seconds=10 * SECONDS)
            connect(found)
            yield found


def wait_for_one(crew: Crew) -> str:
    """The name of an actor that has no work."""
    until = time.monotonic() + SECONDS
    while not crew.idle:
        assert time.monotonic() < until, "no actor has room"
        crew.seek_room()
        answer(crew)
    return crew.idle[0].name


def answer(crew: Crew) -> None:
    ready, _ = ray.wait(crew.starting, timeout=1.0)
    for ref in ready:
        crew.answered(ref)


def test_what_a_killed_build_left_in_the_only_room_is_put_to_work(settings: RemoteSettings) -> None:
    killed = Crew(settings, "left/asset", 0)
    killed.grow(3)
    lost = wait_for_one(killed)
    ray.kill(killed.idle.pop().actor)
    after = wait_for_one(killed)
    assert after != lost, "one of those that waited has the room now"
    crew = Crew(settings, "left/asset", 0)
    crew.muster()
    crew.grow(1)
    assert wait_for_one(crew) == after
    crew.leave()


def test_what_is_left_while_another_build_waits_is_found(settings: RemoteSettings) -> None:
    waiting = Crew(settings, "later/asset", 0)
    waiting.muster()
    other = Crew(settings, "later/asset", 0)
    other.grow(1)
    name = wait_for_one(other)
    waiting.adopt()
    assert wait_for_one(waiting) == name
    waiting.leave()


def test_actors_that_another_build_does_not_need_any_more_have_not_failed(
    settings: RemoteSettings,
) -> None:
    n = MOST_FAILED_STARTS + 5
    one, other = Crew(settings, "both/asset", 0), Crew(settings, "both/asset", 0)
    one.grow(n)
    wait_for_one(one)
    other.muster()
    wait_for_one(other)
    one.rest()
    until = time.monotonic() + SECONDS
    while other.starting:
        assert time.monotonic() < until, other.starting
        answer(other)
    other.grow(1)
    assert wait_for_one(other) == one.idle[0].name
    other.leave()


def test_an_actor_of_another_asset_without_work_leaves_its_place(settings: RemoteSettings) -> None:
    before, after = Crew(settings, "before/asset", 0), Crew(settings, "after/asset", 0)
    before.grow(1)
    wait_for_one(before)
    after.grow(1)
    assert wait_for_one(after) == "after/asset/0", "long before the other was idle for too long"
    after.leave()


def test_an_actor_that_had_work_a_moment_ago_keeps_its_place(settings: RemoteSettings) -> None:
    crew = Crew(settings, "busy/asset", 0)
    crew.grow(1)
    wait_for_one(crew)
    actor = crew.idle[0].actor
    node, _, same = ray.get([actor.renew.remote(), actor.make_room.remote(), actor.renew.remote()])
    assert node == same
    crew.leave()
