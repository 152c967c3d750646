"""An edit computes the same partitions from whatever door it is brought up to date.

The doors: `recap build`, the daemon that sees to it by itself, and what the UI's button
`Materialize all` sends to the web server, which names all partitions and leaves it to the platform
to compute those that are out of date. No model is asked: captions are put together, and words are
counted.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster._core.execution.backfill import BulkActionStatus

from recap_assets.cli import main
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets_tests.defs.asset_events import Done, computed_since, newest_event
from recap_assets_tests.defs.services import Services, services, wait_for, write_instance
from recap_assets_tests.rebuilding.platform import Sample, write_tar
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="a build, a daemon and a web server, for each edit")

SECONDS = 600
STAGES = ("pool", "captions", "scores", "sets", "mixes", "diversity")
AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
N = 3
ALL = tuple(f"{number:05d}" for number in range(N))


def samples(number: int, *, text: str = "") -> list[Sample]:
    """Three of a shard; the first one with a text of its own where one is given."""
    uids = [100 * number + i for i in range(3)]
    texts = [f"{'word ' * (uid % 7)}text {uid}." for uid in uids]
    return [Sample(uid, text if text and i == 0 else texts[i], uid) for i, uid in enumerate(uids)]


def write_listed(folder: Path, *without: int) -> None:
    uids = [one.uid for number in range(N) for one in samples(number)]
    (folder / "listed.txt").write_text("".join(f"{u:032x}\n" for u in uids if u not in without))


def experiment(folder: Path, *, enabled: bool) -> dict[str, Any]:
    def mix(*rules: Mapping[str, Any]) -> dict[str, Any]:
        return {"scorer": "length", "rules": list(rules)}

    return {
        **EXPERIMENT,
        "corpora": {}, "models": {}, "report": {},
        "pool": {"kind": "webdataset", "shards": str(folder / "pool")},
        "sources": {
            "titled": {"kind": "template", "template": "a photo of {raw}"},
            "parts": {"kind": "split", "source": "raw", "keep": 4},
        },
        "scorers": {"length": {"kind": "words", "measure": "words"}},
        "sets": {"listed": {"uids": str(folder / "listed.txt")}},
        "mixes": {
            "raw": mix({"use": "raw"}),
            "top": mix({"use": "raw", "where": {"top": 0.5}}, {"use": "titled"}),
            "best": mix({"use": {"best_of": ["raw", "parts"]}}),
            "in_set": mix({"use": "raw", "where": {"in_set": "listed"}}),
        },
        "automation": {"enabled": enabled, "stages": list(STAGES), "interval_seconds": 5},
    }  # fmt: skip


Edit = Callable[[dict[str, Any], Path], None]


def nothing(content: dict[str, Any], _folder: Path) -> None:
    content["mixes"] = dict(reversed(content["mixes"].items()))


def one_source(content: dict[str, Any], _folder: Path) -> None:
    content["sources"]["titled"]["template"] = "a picture of {raw}"


def a_source_that_comes_out_equal(content: dict[str, Any], _folder: Path) -> None:
    content["sources"]["parts"]["keep"] = 5


def one_threshold(content: dict[str, Any], _folder: Path) -> None:
    content["mixes"]["top"]["rules"][0]["where"]["top"] = 0.3


def one_text(_content: dict[str, Any], folder: Path) -> None:
    write_tar(folder / "pool" / f"{1:08d}.tar", samples(1, text="another text of several words."))


def a_tar_touched(_content: dict[str, Any], folder: Path) -> None:
    os.utime(folder / "pool" / f"{2:08d}.tar")


def a_member_less(_content: dict[str, Any], folder: Path) -> None:
    write_listed(folder, 201)


EDITS: tuple[Edit, ...] = (
    nothing, one_source, a_source_that_comes_out_equal, one_threshold, one_text, a_tar_touched,
    a_member_less,
)  # fmt: skip


@dataclass
class Door:
    """An experiment with files and results of its own.

    Attributes:
        build: Brings it up to date.
    """

    folder: Path
    build: Callable[["Door"], None]

    @property
    def file(self) -> Path:
        return self.folder / "experiment.yaml"

    def edited(self, edit: Edit) -> Done:
        """What an edit computes, of the stages that all doors see to."""
        before = newest_event(self.instance)
        content = yaml.safe_load(self.file.read_text())
        edit(content, self.folder)
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        self.build(self)
        graph = Session(self.file).graph
        found = computed_since(self.instance, graph, before)
        return {one for one in found if graph.nodes[one[0]].stage in STAGES}

    @property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.get()

    def left(self) -> list[str]:
        """What is out of date, and what runs."""
        session = Session(self.file)
        session.project.scan()
        entries = plan(session.graph, session.records(self.instance)).to_build
        stale = [one.name for one in entries if session.graph.nodes[one.asset].stage in STAGES]
        runs = self.instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
        return stale + [run.run_id for run in runs]


@contextmanager
def opened(folder: Path, *, enabled: bool) -> Iterator[Path]:
    """A folder with pool, experiment and configuration, which the environment names."""
    (folder / "pool").mkdir(parents=True)
    for number in range(N):
        write_tar(folder / "pool" / f"{number:08d}.tar", samples(number))
    write_listed(folder)
    content = experiment(folder, enabled=enabled)
    (folder / "experiment.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    variables = {
        "RECAP_EXPERIMENT": str(folder / "experiment.yaml"), "RECAP_SET": "[]",
        "RECAP_DATA": str(folder / "data"), "DAGSTER_HOME": str(folder / "home"),
        "RECAP_INSTANCE": str(folder / "data" / "tiny" / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }  # fmt: skip
    write_instance(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield folder


def build_here(door: Door) -> None:
    """`recap build`."""
    words = ["--data", str(door.folder / "data"), "-e", str(door.file), "build", "--yes", "-j", "1"]
    done = CliRunner().invoke(main.recap, words)
    assert done.exit_code == 0, done.output


def by_the_daemon(door: Door) -> None:
    """Nothing is launched: the daemon sees to it."""
    wait_for(lambda: not door.left(), SECONDS, "the daemon brings everything up to date")


def by_the_ui(running: Services) -> Callable[[Door], None]:
    """`Reload`, and `Materialize all` in the graph of the stages."""
    mutation = """
        mutation ($params: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $params) {
            __typename
            ... on LaunchBackfillSuccess { backfillId }
            ... on PythonError { message }
          }
        }"""

    def build(door: Door) -> None:
        # The sensor `new_shards` looks at the pool where the daemon is on.
        session = Session(door.file)
        session.project.scan()
        running.reload()
        wanted = [node.key for node in session.graph.nodes.values() if node.stage in STAGES]
        params = {
            "assetSelection": [{"path": key.split("/")} for key in wanted],
            "allPartitions": True,
        }
        answer = running.ask(mutation, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer

        def is_done() -> bool:
            backfill = door.instance.get_backfill(answer["backfillId"])
            assert backfill is not None
            assert backfill.status != BulkActionStatus.FAILED, backfill.error
            return backfill.status == BulkActionStatus.COMPLETED_SUCCESS and not door.left()

        wait_for(is_done, SECONDS, "the backfill has ended")

    return build


@pytest.fixture(scope="module")
def by_build(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Done]:
    with opened(tmp_path_factory.mktemp("build"), enabled=False) as folder:
        build_here(Door(folder, build_here))
        return {edit.__name__: Door(folder, build_here).edited(edit) for edit in EDITS}


def test_an_edit_computes_what_depends_on_it(by_build: Mapping[str, Done]) -> None:
    def over(*assets: str, keys: tuple[str, ...] = ALL) -> Done:
        return {(asset, key) for asset in assets for key in keys}

    assert by_build["nothing"] == set()
    assert by_build["one_source"] >= over(
        "synthetic_captions/titled", "clip_scores/length/titled", "curated_mixes/top"
    )
    assert not [a for a, _ in by_build["one_source"] if a.endswith(("/parts", "/raw", "/best"))]
    assert by_build["a_source_that_comes_out_equal"] == over("synthetic_captions/parts")
    assert by_build["one_threshold"] == {("thresholds/top", ""), *over("curated_mixes/top")}
    assert {key for _, key in by_build["one_text"]} <= {"", "00001", *ALL}
    assert ("raw_pool", "00001") in by_build["one_text"]
    assert by_build["a_tar_touched"] == {("raw_pool", "00002")}
    assert by_build["a_member_less"] == {("curated_mixes/in_set", "00002")}


def test_the_daemon_computes_the_same(
    by_build: Mapping[str, Done], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with opened(tmp_path_factory.mktemp("daemon"), enabled=True) as folder:
        door = Door(folder, by_the_daemon)
        build_here(door)
        with services(folder / "home", dict(os.environ), pause=2):
            for edit in EDITS:
                assert door.edited(edit) == by_build[edit.__name__], edit.__name__


def test_the_ui_computes_the_same(
    by_build: Mapping[str, Done], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with opened(tmp_path_factory.mktemp("ui"), enabled=False) as folder:
        build_here(Door(folder, build_here))
        with services(folder / "home", dict(os.environ), pause=2) as running:
            door = Door(folder, by_the_ui(running))
            for edit in EDITS:
                assert door.edited(edit) == by_build[edit.__name__], edit.__name__
