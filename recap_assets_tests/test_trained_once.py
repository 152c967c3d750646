"""A model with the fingerprint of one trained before is copied whole; any other is trained."""

from dataclasses import replace
from pathlib import Path

from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.storage.files import directory_is_whole, replaced_directory
from recap_assets_tests.trained_once import trained_once


def model_in(folder: Path, trainings: list[str]) -> Node:
    """A model whose weights are the number of trainings so far."""

    def compute(step: Step) -> Outcome:
        trainings.append(step.fingerprint)
        with replaced_directory(folder, listed=True) as new:
            (new / "deeper").mkdir()
            (new / "deeper" / "weights").write_text(str(len(trainings)))
        return Outcome(f"version {len(trainings)}", 1)

    return Node(
        key="models/of_this_test", stage="models", dimension="none", dependencies=(),
        implementation=1, decides="", compute=compute, description="A model.",
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
    )  # fmt: skip


def test_the_same_fingerprint_is_copied_where_there_is_no_model(tmp_path: Path) -> None:
    trainings: list[str] = []
    first, second = (model_in(tmp_path / name, trainings) for name in ("first", "second"))
    step = Step("", "the same")
    made = trained_once(first).compute(step)
    assert trained_once(second).compute(step) == made == Outcome("version 1", 1)
    assert (tmp_path / "second" / "deeper" / "weights").read_text() == "1"
    assert directory_is_whole(tmp_path / "second")
    # Where there is one, it is being trained again, for a reason.
    assert trained_once(second).compute(step) == Outcome("version 2", 1)
    assert (tmp_path / "second" / "deeper" / "weights").read_text() == "2"


def test_another_fingerprint_is_trained_and_so_is_what_is_no_model(tmp_path: Path) -> None:
    trainings: list[str] = []
    for number, fingerprint in enumerate(("one", "another")):
        node = model_in(tmp_path / str(number), trainings)
        trained_once(node).compute(Step("", fingerprint))
    assert trainings == ["one", "another"]
    other = model_in(tmp_path / "other", trainings)
    assert trained_once(other).compute(Step("", "one")) == Outcome("version 1", 1)
    captions = replace(other, stage="captions")
    assert trained_once(captions) is captions
