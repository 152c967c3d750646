"""What was computed before is taken over, as it was, or computed where it cannot be."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.table import Column, Table
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.content import StoredFiles, StoredRows, TablesLook, files_below
from recap_assets.graph.former import Former
from recap_assets.graph.node import Graph, Node, Outcome, Place, Rows, Step
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import Memory

AT = {"partition": Column(pl.String, "The partition.")}
WORDS = Table(
    "words", "Words.", {**AT, "word": Column(pl.String, "It.")},
    slices=("partition",), order=("word",),
)  # fmt: skip
COUNTS = Table(
    "counts", "Counts.", {**AT, "n": Column(pl.Int64, "So many.")},
    slices=("partition",), order=("n",),
)  # fmt: skip


class Computed(Exception):  # noqa: N818 - what happened, and no error
    """The node was asked to compute."""


def refuse(_step: Step) -> Rows:
    raise Computed


class One:
    """A node of one partition in a workspace."""

    def __init__(self, data: Path, name: str) -> None:
        self.workspace = Workspace(data, name)
        self.compute: Callable[[Step], Rows | Outcome] = refuse
        self.formers: list[Former] = []

    @property
    def content(self) -> StoredRows | StoredFiles:
        return StoredRows(self.workspace.tables, WORDS, beside=(COUNTS,))

    @property
    def node(self) -> Node:
        return Node(
            "words", "test", "pool", (), 1, "{}", self.compute, "", content=self.content,
            is_worth_keeping=True,
        )  # fmt: skip

    def of(self, asset: str, partition: str, fingerprint: str) -> list[Former]:
        assert (asset, partition, len(fingerprint)) == ("words", "0", 32)
        return self.formers

    def build(self, *, force: bool = False) -> Built:
        graph = Graph([self.node], lambda _: ["0"], formers=self)
        return build_partition(graph, Memory(), self.node, "0", force=force)


class OneFolder(One):
    """The same with files, and a table beside them."""

    @property
    def content(self) -> StoredFiles:
        folder = self.workspace.model("0")
        return StoredFiles(
            lambda _: folder, lambda _: files_below(folder),
            beside=lambda key: (Place(COUNTS, {"partition": key}),),
        )  # fmt: skip

    def write(self, step: Step) -> Outcome:
        folder = self.workspace.model("0")
        with replaced_directory(folder, listed=True) as new:
            (new / "weights").write_bytes(b"123")
            (new / "below").mkdir()
            (new / "below" / "config").write_bytes(b"{}")
        written = self.workspace.tables.replace(COUNTS, {"partition": "0"}, counts(2))
        assert step.partition == "0"
        return Outcome(files_version(files_below(folder), folder), 2, written=(written,))


def words(*found: str) -> pl.DataFrame:
    return pl.DataFrame({"word": found}, schema={"word": pl.String})


def counts(n: int) -> pl.DataFrame:
    return pl.DataFrame({"n": [n]})


def former_of(built: Built, there: One, here: One) -> Former:
    versions = {
        w.table: w.table_version for w in built.outcome.written if w.table_version is not None
    }
    return Former(
        there.workspace, here.workspace, built.record.data_version, built.record.n_rows, 77.0,
        "a GPU", {"too_long": 1}, {"n": 2}, {"recap.commit": "abc"}, versions, "2026-11-28",
    )  # fmt: skip


def rows_pair(tmp_path: Path) -> tuple[One, One]:
    there, here = One(tmp_path, "there"), One(tmp_path, "here")
    there.compute = lambda _step: Rows(words("b", "a"), (counts(2),))
    here.formers = [former_of(there.build(), there, here)]
    return there, here


def test_rows_of_another_experiment_are_taken_over_with_what_stands_beside(tmp_path: Path) -> None:
    there, here = rows_pair(tmp_path)
    built = here.build()
    for table in (WORDS, COUNTS):
        assert here.workspace.tables.read(table).equals(there.workspace.tables.read(table))
    assert built.record.data_version == here.formers[0].data_version
    assert (built.record.seconds, built.record.gpu_seconds, built.reused) == (77.0, 77.0, False)
    outcome = built.outcome
    assert (outcome.n_rows, outcome.rejected, outcome.device) == (2, {"too_long": 1}, "a GPU")
    assert outcome.machine == {"recap.commit": "abc"}
    told = "experiment there, computed on 2026-11-28"
    assert outcome.facts == {"n": 2, "taken_over_from": told}


def test_an_earlier_version_of_its_own_is_taken_over(tmp_path: Path) -> None:
    one = One(tmp_path, "one")
    one.compute = lambda _step: Rows(words("b", "a"), (counts(2),))
    first = one.build()
    one.compute = lambda _step: Rows(words("c"), (counts(1),))
    one.build()
    one.compute, one.formers = refuse, [former_of(first, one, one)]
    told = "an earlier version, computed on 2026-11-28"
    assert one.build().outcome.facts["taken_over_from"] == told
    assert one.workspace.tables.read(WORDS)["word"].to_list() == ["a", "b"]
    assert one.workspace.tables.read(COUNTS)["n"].to_list() == [2]


def test_what_is_forced_is_computed(tmp_path: Path) -> None:
    _, here = rows_pair(tmp_path)
    with pytest.raises(Computed):
        here.build(force=True)


def test_what_is_not_worth_keeping_is_computed(tmp_path: Path) -> None:
    _, here = rows_pair(tmp_path)
    node = replace(here.node, is_worth_keeping=False)
    with pytest.raises(Computed):
        build_partition(Graph([node], lambda _: ["0"], formers=here), Memory(), node, "0")


def changed(_there: One, here: One) -> None:
    here.formers = [replace(here.formers[0], data_version="0" * 32)]


def removed(there: One, _here: One) -> None:
    shutil.rmtree(there.workspace.root)


def cut(there: One, _here: One) -> None:
    for file in Path(there.workspace.tables.uri(WORDS)).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:20])


def without_one(_there: One, here: One) -> None:
    here.formers = [replace(here.formers[0], table_versions={"words": 0})]


@pytest.mark.parametrize("harm", [changed, removed, cut, without_one])
def test_rows_that_are_not_as_they_were_are_computed(
    tmp_path: Path, harm: Callable[[One, One], None]
) -> None:
    there, here = rows_pair(tmp_path)
    harm(there, here)
    with pytest.raises(Computed):
        here.build()
    # The next one that can be read is taken.
    other = One(tmp_path, "other")
    other.compute = lambda _step: Rows(words("b", "a"), (counts(2),))
    here.formers.append(former_of(other.build(), other, here))
    assert "experiment other" in str(here.build().outcome.facts["taken_over_from"])


def folder_pair(tmp_path: Path) -> tuple[OneFolder, OneFolder]:
    there, here = OneFolder(tmp_path, "there"), OneFolder(tmp_path, "here")
    there.compute = there.write
    here.formers = [former_of(there.build(), there, here)]
    return there, here


def test_files_of_another_experiment_are_copied_with_the_table_beside(tmp_path: Path) -> None:
    there, here = folder_pair(tmp_path)
    built = here.build()
    ours, theirs = here.workspace.model("0"), there.workspace.model("0")
    assert files_version(files_below(ours), ours) == built.record.data_version
    assert sorted(path.name for path in files_below(ours)) == ["config", "weights"]
    assert here.workspace.tables.read(COUNTS)["n"].to_list() == [2]
    assert built.record.n_rows == 2
    # No link: what becomes of one is nothing to the other.
    assert not (ours / "weights").samefile(theirs / "weights")
    assert list(here.content.present(TablesLook(here.workspace.tables))) == [""]


@pytest.mark.parametrize("harm", ["changed", "more", "gone", "table"])
def test_files_that_are_not_as_they_were_are_computed(tmp_path: Path, harm: str) -> None:
    there, here = folder_pair(tmp_path)
    folder = there.workspace.model("0")
    if harm == "changed":
        (folder / "weights").write_bytes(b"124")
    elif harm == "more":
        (folder / "more").write_bytes(b"")
    elif harm == "gone":
        shutil.rmtree(folder)
    else:
        here.formers = [replace(here.formers[0], table_versions={})]
    with pytest.raises(Computed):
        here.build()
    assert not here.workspace.model("0").exists()
