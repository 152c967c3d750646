"""A second experiment over one pool computes nothing again, nor does a setting that goes back."""

from collections.abc import Callable, Mapping

import dagster as dg
import pytest

from recap_assets.artefacts import MODELS, SYNTHETIC_CAPTIONS
from recap_assets.captions import assets as captions
from recap_assets.defs.ran import taken_over
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.graph.content import files_below
from recap_assets.graph.planner import plan
from recap_assets.storage.content import files_version
from recap_assets.training.models import assets as models
from recap_assets_tests.defs.test_events import PARTITIONS, events_of, runs_of
from recap_assets_tests.tiny import EXPERIMENT

MODELS_ASKED = tuple(MODELS.key(name) for name in ("backbone", "captioner"))
CORPUS = "embedded_world/corpora/broad"
CAPTIONS = SYNTHETIC_CAPTIONS.key("a")
SOURCE = EXPERIMENT["sources"]["a"]


class Asked:
    """How often models were trained and partitions captioned."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.n = {"models": 0, "captions": 0}
        self._count(patch, models, "train_model", "models")
        self._count(patch, captions, "caption_partition", "captions")

    def _count(self, patch: pytest.MonkeyPatch, module: object, name: str, what: str) -> None:
        original: Callable[..., object] = getattr(module, name)

        def counted(*given: object) -> object:
            self.n[what] += 1
            return original(*given)

        patch.setattr(module, name, counted)

    def since(self) -> tuple[int, int]:
        found = (self.n["models"], self.n["captions"])
        self.n = dict.fromkeys(self.n, 0)
        return found


def run(session: Session, *assets: str, n_taken_over: int = 0) -> dg.DagsterInstance:
    session.create_tables()
    instance = session.open_instance()
    result = runs_of(session, instance)(*assets, partitions=PARTITIONS)
    assert result.success
    assert len(taken_over(result)) == n_taken_over
    return instance


def build_all(session: Session, *, again: bool = False) -> dg.DagsterInstance:
    run(session, CORPUS, "embedded_world/pool", "raw_pool")
    for asset in MODELS_ASKED:
        run(session, asset, n_taken_over=int(again))
    return run(session, CAPTIONS, n_taken_over=len(PARTITIONS) * again)


def contents(session: Session) -> Mapping[str, object]:
    """What was built: the models' files, and the captions."""
    workspace = session.project.workspace
    folders = [workspace.model(name) for name in ("backbone", "captioner")]
    captions = workspace.tables.read(SYNTHETIC_CAPTIONS).sort("uid").rows()
    found = {folder.name: files_version(files_below(folder), folder) for folder in folders}
    return {**found, "captions": captions}


@pytest.mark.long(reason="trains models and captions, in two experiments")
def test_a_second_experiment_and_a_setting_that_goes_back_compute_nothing(
    opened: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    first = opened()
    build_all(first)
    built = contents(first)
    assert asked.since() == (2, 3)

    # Another decoding computes the captions; the first one again takes over what they were.
    warmer = {"a": {**SOURCE, "decoding": {**SOURCE["decoding"], "temperature": 2.0}}}
    run(opened(sources=warmer), CAPTIONS)
    assert asked.since() == (0, 3)
    assert contents(first) != built
    instance = run(opened(), CAPTIONS, n_taken_over=3)
    assert asked.since() == (0, 0)
    assert contents(first) == built
    told = events_of(instance, CAPTIONS)[-1].metadata["taken_over_from"].value
    assert str(told).startswith("an earlier version, computed on ")

    second = opened(name="second")
    instance = build_all(second, again=True)
    assert asked.since() == (0, 0)
    assert contents(second) == built
    (event,) = events_of(instance, MODELS_ASKED[1])
    assert str(event.metadata["taken_over_from"].value).startswith("experiment tiny, ")
    assert plan_of(second, instance) == []


def plan_of(session: Session, instance: dg.DagsterInstance) -> list[str]:
    """What is out of date of what was built."""
    entries = plan(session.graph, DagsterRecords(instance)).entries
    return [one.name for one in entries if one.asset in (*MODELS_ASKED, CAPTIONS)]
