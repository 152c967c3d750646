"""The condition asks for exactly what is ready, a limited number of times, and not what is busy."""

from collections.abc import Callable

import dagster as dg
import pytest

from recap_assets.defs.assets import asset_key
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets_tests.defs.automation.conftest import PARTITIONS, RAW, WORLD, Build
from recap_assets_tests.tiny import EXPERIMENT

ATTEMPTS = 2
STAGES = ["world", "pool"]
Tick = Callable[[], dict[str, set[str | None]]]


@pytest.fixture
def session(opened: Callable[..., Session]) -> Session:
    return opened(automation={"max_attempts": ATTEMPTS, "stages": STAGES})


@pytest.fixture
def tick(session: Session, instance: dg.DagsterInstance) -> Tick:
    """Evaluates all conditions, going on from the last time; asset -> partitions asked for."""
    definitions = definitions_of(session)
    cursor = [None]

    def evaluate() -> dict[str, set[str | None]]:
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor[0])
        cursor[0] = result.cursor
        return {
            "/".join(one.key.path): set(result.get_requested_partitions(one.key))
            for one in result.results
            if not one.true_subset.is_empty
        }

    return evaluate


def test_what_is_ready_is_asked_for_and_nothing_else(tick: Tick, build: Build) -> None:
    first = tick()
    assert first[WORLD] == set(PARTITIONS)
    assert RAW not in first
    assert first["embedded_world/corpora/broad"] == {None}
    build(WORLD)
    assert tick()[RAW] == set(PARTITIONS)
    build(RAW, partitions=("00001", "00002"))
    assert tick()[RAW] == {"00000"}


def test_stages_that_are_left_out_are_left_alone(
    session: Session, tick: Tick, build: Build
) -> None:
    build(*(node.key for node in session.graph.nodes.values() if node.stage == "world"))
    assert set(tick()) == {RAW}


def test_what_keeps_failing_is_given_up_until_it_changes(
    tick: Tick, opened: Callable[..., Session]
) -> None:
    assert [tick().get(WORLD) for _ in range(ATTEMPTS + 2)] == [
        *[set(PARTITIONS)] * ATTEMPTS, None, None,
    ]  # fmt: skip
    opened(seed=4)
    assert tick()[WORLD] == set(PARTITIONS)


def test_only_what_failed_is_given_up(tick: Tick, opened: Callable[..., Session]) -> None:
    pool = {**EXPERIMENT["pool"], "samples": 80}
    for _ in range(ATTEMPTS):
        tick()
    opened(pool=pool).open_instance()
    assert tick()[WORLD] >= {"00003"}


def test_what_is_being_built_and_what_reads_it_waits(
    session: Session, instance: dg.DagsterInstance, tick: Tick, build: Build
) -> None:
    build(WORLD)
    job = definitions_of(session).resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(
        job.get_subset(asset_selection={asset_key(WORLD)}),
        tags=dict(range_tags(("00001", "00002"))),
        asset_selection={asset_key(WORLD)},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert tick()[RAW] == {"00000"}
    instance.report_run_failed(run)
    assert tick()[RAW] == set(PARTITIONS)
