"""Two mixes of the same pairs, in runs of a build: one is trained, and the other takes it over."""

import threading
from collections.abc import Callable

import dagster as dg
import pytest

from recap_assets.defs.alike import alone_among_alike
from recap_assets.defs.dead_runs import driver_tags
from recap_assets.defs.events import COMPUTED, RESULT, TAKEN
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets_tests.defs.test_events import PARTITIONS, events_of, runs_of

MIXES = {"one": [{"use": "raw"}], "other": [{"use": "raw"}]}
SECONDS = 120
Built = tuple[Session, dg.DagsterInstance]


@pytest.fixture
def built(opened: Callable[..., Session]) -> Built:
    """What is trained on, built by runs whose receipts nobody has copied yet."""
    session = opened(mixes=MIXES, scorers={"length": {"kind": "words"}}, report={})
    session.create_tables()
    instance = session.open_instance()
    execute = runs_of(session, instance)
    for assets in (
        ("embedded_world/pool", "raw_pool", "clip_scores/length/raw"),
        tuple(f"thresholds/{mix}" for mix in MIXES),
        tuple(f"curated_mixes/{mix}" for mix in MIXES),
        tuple(f"training_pairs/{mix}" for mix in MIXES),
    ):
        assert execute(*assets, partitions=PARTITIONS, **driver_tags()).success
    return session, instance


def test_what_the_same_build_has_trained_is_taken_over(built: Built) -> None:
    session, instance = built
    execute = runs_of(session, instance)
    for mix, expected in (("one", COMPUTED), ("other", TAKEN)):
        assert execute(f"trained_clip/{mix}", partitions=("0",), **driver_tags()).success
        (event,) = events_of(instance, f"trained_clip/{mix}")
        assert event.metadata[RESULT].value == expected


def test_the_second_waits_until_the_first_is_recorded(built: Built) -> None:
    session, instance = built
    waits, entered = threading.Event(), threading.Event()

    def begin(mix: str, told: Callable[[str], None]):
        records = (instance, DagsterRecords(instance))
        node = session.graph.nodes[f"trained_clip/{mix}"]
        return alone_among_alike(session.project, session.graph, node, "0", mix, records, told)

    def second() -> None:
        with begin("other", lambda _holder: waits.set()):
            entered.set()

    thread = threading.Thread(target=second)
    with begin("one", lambda _holder: None):
        thread.start()
        assert waits.wait(SECONDS)
        assert not entered.is_set()
    assert entered.wait(SECONDS)
    thread.join(SECONDS)
