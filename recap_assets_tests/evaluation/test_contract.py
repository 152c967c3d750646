"""The public contract of evaluation tasks, kept by every registered kind; some that break it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from recap_assets.assembly.graph import build_graph
from recap_assets.evalsets.kind import Task
from recap_assets.evalsets.sets import EvaluationSet, RetrievalSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import MadeHere
from recap_assets.evaluation.kinds.bags import BagsTask
from recap_assets.evaluation.kinds.composition import CompositionTask
from recap_assets.evaluation.kinds.conditional import ConditionalTask
from recap_assets.evaluation.kinds.embedded import EmbeddedTask
from recap_assets.evaluation.kinds.languages import LanguagesTask
from recap_assets.evaluation.kinds.neighbours import NeighboursTask
from recap_assets.evaluation.kinds.sentences import SentencesTask
from recap_assets.evaluation.kinds.webdataset import WebDatasetTask
from recap_assets.evaluation.tasks import set_of
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.specs.kinds import kinds_of
from recap_assets.storage.content import files_version
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.tasks import TaskContract
from recap_assets.world.writing import write_task
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, labelled, write_set
from recap_assets_tests.registering import registered
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

HELD = {
    "embedded": "TestEmbedded",
    "webdataset": "TestWebDataset",
    "composition": "TestComposition",
    "conditional": "TestConditional",
    "sentences": "TestSentences",
    "languages": "TestLanguages",
    "neighbours": "TestNeighbours",
    "bags": "TestBags",
}


def test_no_kind_is_left_out() -> None:
    assert HELD.keys() == kinds_of("tasks").keys()
    assert set(HELD.values()) <= globals().keys()


def shards(folder: Path) -> Path:
    parts = [[*labelled("a", "0", 9), *labelled("b", "1", 200)], labelled("c", "0", 77)]
    return write_set(folder, "classification", parts)


class TestEmbedded(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.task, self.made = EmbeddedTask(kind="embedded", task="coarse"), tmp_path / "set"
        write_task(self.made, 3, "coarse", 7)


class TestEmbeddedRetrieval(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.task, self.made = EmbeddedTask(kind="embedded", task="retrieval"), tmp_path / "set"
        write_task(self.made, 3, "retrieval", 5)


class TestWebDataset(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.task = WebDatasetTask(kind="webdataset", path=str(shards(tmp_path / "set")))


class TestComposition(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        write_task(tmp_path / "set", 3, "composition", 6)
        self.task = CompositionTask(kind="composition", path=str(tmp_path / "set"))


class TestConditional(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        write_task(tmp_path / "set", 3, "conditional", 15)
        self.task = ConditionalTask(kind="conditional", path=str(tmp_path / "set"))


class TestSentences(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        write_task(tmp_path / "set", 3, "sentences", 9)
        self.task = SentencesTask(kind="sentences", path=str(tmp_path / "set"))


class TestLanguages(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        write_task(tmp_path / "set", 3, "languages", 5)
        self.task = LanguagesTask(kind="languages", path=str(tmp_path / "set"))


class TestEmbeddedLanguages(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.task, self.made = EmbeddedTask(kind="embedded", task="languages"), tmp_path / "set"
        write_task(self.made, 3, "languages", 5)


class TestNeighbours(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.of = EmbeddedTask(kind="embedded", task="colour")
        self.task, self.made = NeighboursTask(kind="neighbours", of="colour"), tmp_path / "set"
        write_task(self.made, 3, "colour", 20)


class TestBags(TaskContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.of = EmbeddedTask(kind="embedded", task="retrieval")
        self.task, self.made = BagsTask(kind="bags", of="retrieval", size=3), tmp_path / "set"
        write_task(self.made, 3, "retrieval", 6)


class Shuffled(WebDatasetTask):
    """Gives its captions in another order each time."""

    n_opened: list[int] = []  # noqa: RUF012

    def open(self, made: Path, decode: Decode) -> EvaluationSet:
        self.n_opened.append(1)
        whole = super().open(made, decode)
        assert isinstance(whole, RetrievalSet)
        read = whole._read
        turn = len(self.n_opened) % 2

        def turned() -> Iterator[Any]:
            rows = list(read())
            return iter(rows[::-1] if turn else rows)

        return RetrievalSet(whole.path, turned, whole._decode)


class Unversioned(WebDatasetTask):
    """Says of no file when it changes."""

    def versions(self, name: str) -> Iterator[str]:  # noqa: ARG002
        yield from ()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Shuffled, "test_it_has_images_and_they_come_again"),
        (
            Unversioned,
            "test_its_version_is_that_of_its_files_or_of_the_asset_that_makes_it",
        ),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(
    kind: type[Task], test: str, tmp_path: Path
) -> None:
    rows = [*captioned("a", "one", 9), *captioned("b", "two", 200)]
    folder = write_set(tmp_path, "retrieval", [rows])
    contract = TaskContract()
    contract.task = kind(kind="webdataset", path=str(folder))  # type: ignore[call-arg]
    with pytest.raises(AssertionError):
        getattr(contract, test)()


class GreyTask(MadeHere):
    """Grey squares, written by an asset of the kind's own."""

    kind: Literal["greys"]
    samples: int = 4

    def open(self, made: Path, decode: Decode) -> EvaluationSet:
        return WebDatasetTask(kind="webdataset", path=str(made)).open(made, decode)

    def nodes(self, name: str, project: Project) -> list[Node]:
        (key,) = self.made_by(name)
        folder = project.task_folder(name)

        def compute(_step: Step) -> Outcome:
            parts = [row for i in range(self.samples) for row in labelled(f"{i}", f"{i % 2}", i)]
            write_set(folder, "classification", [parts])
            return Outcome(files_version(files_below(folder), folder), self.samples)

        return [
            Node(
                key=key, stage="world", dimension="none", dependencies=(), implementation=1,
                decides=deciding(task=self), compute=compute, description="Grey squares.",
                content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
            )
        ]  # fmt: skip


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    point = "greys = recap_assets_tests.evaluation.test_contract:GreyTask"
    with registered(tmp_path_factory.mktemp("site"), "tasks", point):
        yield


@pytest.mark.usefixtures("greys")
def test_a_set_that_another_package_makes_is_evaluated_on_and_targeted(tmp_path: Path) -> None:
    near = {"kind": "image_based", "scorer": "clip", "clusters": 5, "target": {"task": "greys"}}
    evaluation = {"tasks": {"greys": {"kind": "greys", "samples": 6}}}
    given = {**EXPERIMENT, "evaluation": evaluation, "sets": {"near": near}, "report": {}}
    bench = Bench(tmp_path, tiny_experiment(**given))
    reads = {dep.asset for dep in bench.graph.nodes["evaluation_results/raw"].dependencies}
    assert reads == {"trained_clip/raw", "embedded_world/evaluation/greys"}
    target = bench.graph.nodes["target_clusters/near"]
    assert "embedded_world/evaluation/greys" in {dep.asset for dep in target.dependencies}
    node = bench.graph.nodes["embedded_world/evaluation/greys"]
    assert "recap-others" in node.decides
    node.compute(Step(""))
    opened = set_of(bench.project, "greys").open(decode)
    shades = [int(image[0, 0, 0]) for batch in opened.images(4) for image in batch]
    assert shades == list(range(6))


def test_a_task_of_files_decides_by_their_bytes_and_not_by_an_asset(tmp_path: Path) -> None:
    folder = shards(tmp_path / "set")
    evaluation = {"tasks": {"own": {"kind": "webdataset", "path": str(folder)}}}
    experiment = tiny_experiment(evaluation=evaluation, report={})
    graph = build_graph(Project(experiment, Workspace(tmp_path, "tiny")))
    node = graph.nodes["evaluation_results/raw"]
    assert [dep.asset for dep in node.dependencies] == ["trained_clip/raw"]
    assert node.outside is not None
    before = node.outside("0")
    assert node.outside("0") == before
    (folder / "classnames.txt").write_text("a\nc\n")
    assert node.outside("0") != before
