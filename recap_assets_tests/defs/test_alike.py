"""Two mixes of the same pairs, in runs of a build: one is trained, and the other takes it over."""

import re
import threading
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from pydantic import TypeAdapter

from recap_assets.cli.building import Asked, run_build
from recap_assets.cli.forms import FORMS
from recap_assets.cli.planning import print_plan
from recap_assets.defs.alike import alone_among_alike
from recap_assets.defs.dead_runs import driver_tags
from recap_assets.defs.events import COMPUTED, RESULT, TAKEN
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
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


def planned(session: Session, capsys: pytest.CaptureFixture[str], **asked: Any) -> str:
    print_plan(session, **{"as_json": False, "why_of": None, "select": [], **asked})
    return capsys.readouterr().out


def test_a_plan_says_what_is_taken_over_and_expects_no_time_of_it(
    built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    session, instance = built

    def rows(**asked: Any) -> dict[str, Any]:
        printed = planned(session, capsys, as_json=True, **asked)
        form = TypeAdapter(FORMS["plan"]).validate_json(printed, strict=True)
        return {row["asset"]: row for row in form}

    # Of two that can be trained now the first is, and its evaluation is the other's as well.
    for asset in ("trained_clip", "evaluation_results"):
        one, other = (rows()[f"{asset}/{mix}"] for mix in MIXES)
        assert (one["taken_over_from"], other["taken_over_from"]) == (None, f"{asset}/one")
        assert one["expected_seconds"] > other["expected_seconds"] == 0
    whole = rows(reuses=False)["trained_clip/other"]
    assert (whole["taken_over_from"], whole["expected_seconds"] > 0) == (None, True)
    execute = runs_of(session, instance)
    assert execute("trained_clip/one", partitions=("0",), **driver_tags()).success
    # Its receipt was not copied yet.
    assert rows()["trained_clip/other"]["taken_over_from"] == "trained_clip/one"
    assert "trained_clip/one" not in rows()
    said = " ".join(planned(session, capsys).replace("│", " ").split())
    assert "trained_clip/other 1 0.0 s" in said
    assert "never built; taken over from trained_clip/one" in said
    assert re.search(r"1 of \d taken over from evaluation_results/one", said)
    why = planned(session, capsys, why_of="trained_clip/other[0]")
    assert why.splitlines()[-1] == "it is taken over from trained_clip/one"


@pytest.mark.long(reason="builds in processes of their own")
def test_a_renamed_mix_takes_its_training_over_before_the_old_one_is_removed(
    opened: Callable[..., Session], capsys: pytest.CaptureFixture[str]
) -> None:
    plain: dict[str, Any] = {
        "sources": {}, "scorers": {"length": {"kind": "words"}}, "report": {}, "corpora": {},
        "models": {},
    }  # fmt: skip
    first = opened(mixes={"one": MIXES["one"]}, **plain)
    assert run_build(first, 1, Asked(yes=True)) == 0
    old = first.project.workspace.checkpoint("one", 0)
    (weights,) = (one.read_bytes() for one in old.glob("*.safetensors"))
    capsys.readouterr()
    renamed = opened(mixes={"new": MIXES["one"]}, **plain)
    assert run_build(renamed, 1, Asked(yes=True, remove=True)) == 0
    (event,) = events_of(renamed.open_instance(), "trained_clip/new")
    assert event.metadata[RESULT].value == TAKEN
    (taken,) = (
        one.read_bytes()
        for one in renamed.project.workspace.checkpoint("new", 0).glob("*.safetensors")
    )
    assert taken == weights
    assert not old.exists()
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "taken over if it reads what trained_clip/one read" in said
    assert said.count("that left the experiment; their lineage is kept.") == 2
    assert not plan(renamed.graph, DagsterRecords(renamed.open_instance())).entries
