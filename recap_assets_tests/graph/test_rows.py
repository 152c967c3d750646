"""What a stage found is written where its content lies, and then it is done with."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from recap_assets.artefacts.table import Column, Table
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.content import StoredFiles, StoredRows
from recap_assets.graph.node import Graph, Node, Rows, Step
from recap_assets.storage.content import slice_version
from recap_assets.storage.tables import TableStore
from recap_assets_tests.tiny import Memory

PARTITION = Column(pl.String, "The partition.")
WORDS = Table(
    "words",
    "A word.",
    {"who": Column(pl.String, "Whose."), "partition": PARTITION, "word": Column(pl.String, "It.")},
    slices=("who", "partition"),
    order=("word",),
)
LETTERS = Table(
    "letters",
    "How many letters.",
    {"who": Column(pl.String, "Whose."), "partition": PARTITION, "n": Column(pl.Int64, "So many.")},
    slices=("who", "partition"),
    order=("n",),
)


def words(*found: str) -> pl.DataFrame:
    return pl.DataFrame({"word": found}, schema={"word": pl.String})


def letters(n: int) -> pl.DataFrame:
    return pl.DataFrame({"n": [n]})


class Writer:
    """A node of one partition that finds words, with what it wrote and what is recorded of it."""

    def __init__(self, folder: Path, **content: Any) -> None:
        self.tables = TableStore(str(folder))
        self.memory = Memory()
        self.content = StoredRows(self.tables, WORDS, {"who": "a"}, **content)
        self.found: Callable[[Step], Rows] = lambda _step: Rows(words("b", "a"))
        self.is_worth_keeping = False

    @property
    def node(self) -> Node:
        return Node(
            "words/a", "test", "pool", (), 1, "{}", self.found, "",
            content=self.content, is_worth_keeping=self.is_worth_keeping,
        )  # fmt: skip

    def build(self, **options: Any) -> Built:
        graph = Graph([self.node], lambda _: ["0"])
        built = build_partition(graph, self.memory, self.node, "0", **options)
        self.memory.keep(self.node, "0", built)
        return built


def test_rows_are_written_with_what_they_are_known_by(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.found = lambda _step: Rows(
        words("b", "a"), rejected={"too_long": 3}, facts={"n": 2}, markdown={"m": "*"}, device="X",
        machine={"bits": "few"},
    )  # fmt: skip
    built = writer.build()
    rows = writer.tables.read(WORDS)
    assert rows.rows() == [("a", "0", "a"), ("a", "0", "b")]
    outcome = built.outcome
    assert outcome.data_version == slice_version(WORDS, rows) == built.record.data_version
    assert (outcome.n_rows, outcome.rejected, outcome.facts) == (2, {"too_long": 3}, {"n": 2})
    assert (outcome.markdown, outcome.device, outcome.machine) == ({"m": "*"}, "X", {"bits": "few"})
    assert [(one.table, one.rewritten) for one in outcome.written] == [("words", True)]
    (entry, *_) = DeltaTable(writer.tables.uri(WORDS)).history(1)
    assert entry["recap.asset"] == "words/a"
    assert entry["recap.fingerprint"] == built.record.fingerprint


def test_what_a_partition_holds_is_not_written_again(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    first = writer.build()
    again = writer.build(force=True)
    assert not again.outcome.written[0].rewritten
    assert again.outcome.data_version == first.outcome.data_version
    # The storage may hold another content than was recorded before the interruption.
    assert writer.build(interrupted=first.record.built_at + 1).outcome.written[0].rewritten


def test_tables_beside_are_written_before_the_main_one(tmp_path: Path) -> None:
    writer = Writer(tmp_path, beside=(LETTERS,))
    # The main table refuses its rows: as a crash between the two transactions.
    writer.found = lambda _step: Rows(letters(1), (letters(2),))
    with pytest.raises(Exception, match="table words"):
        writer.build()
    assert writer.tables.read(LETTERS).rows() == [("a", "0", 2)]
    assert writer.tables.version(WORDS) is None
    assert writer.memory.latest("words/a") == {}
    writer.found = lambda _step: Rows(words("x"), (letters(3),))
    outcome = writer.build().outcome
    assert [one.table for one in outcome.written] == ["words", "letters"]
    assert writer.tables.read(LETTERS).rows() == [("a", "0", 3)]


def first_letters(rows: pl.DataFrame) -> str:
    return "".join(rows["word"].str.head(1).sort())


def test_a_version_of_its_own_decides_and_the_rows_whether_to_write(tmp_path: Path) -> None:
    writer = Writer(tmp_path, version_of=first_letters)
    assert writer.build().outcome.data_version == "ab" == writer.content.data_version("0", {})
    # Equal rows stay; others are written, though they have the version that is known.
    assert not writer.build(force=True).outcome.written[0].rewritten
    now = time.time() + 1
    assert writer.build(interrupted=now).outcome.written[0].rewritten
    writer.found = lambda _step: Rows(words("ape", "bee"))
    built = writer.build(force=True)
    assert (built.outcome.data_version, built.outcome.written[0].rewritten) == ("ab", True)
    assert writer.tables.read(WORDS)["word"].to_list() == ["ape", "bee"]
    (current,) = DeltaTable(writer.tables.uri(WORDS)).file_uris()
    Path(current).unlink()
    assert writer.build(force=True).outcome.written[0].rewritten
    assert writer.tables.read(WORDS)["word"].to_list() == ["ape", "bee"]


def test_what_waits_for_the_rows_is_done_once_they_are_there(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    seen: list[list[str]] = []

    def found(step: Step) -> Rows:
        step.once_written.append(lambda: seen.append(writer.tables.read(WORDS)["word"].to_list()))
        return Rows(words("a") if seen else letters(1))

    writer.found = found
    with pytest.raises(Exception, match="table words"):
        writer.build()
    assert seen == []
    writer.found = lambda step: replace(found(step), frame=words("a"))
    writer.build()
    assert seen == [["a"]]


def test_rows_have_no_place_among_files(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.content = StoredFiles(lambda _: tmp_path, lambda _: ())  # type: ignore[assignment]
    with pytest.raises(TypeError, match="words/a gives rows, but its content is no slice"):
        writer.build()
    assert writer.memory.records == {}


def test_what_was_committed_and_not_recorded_is_found_and_not_computed_again(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path)
    writer.is_worth_keeping = True
    writer.found = lambda _step: Rows(words("b", "a"), rejected={"too_long": 3})
    first = writer.build()
    writer.memory = Memory()  # killed between the commit and its record

    def refuse(_step: Step) -> Rows:
        raise AssertionError("it was computed")

    writer.found = refuse
    began = first.record.built_at
    found = writer.build(interrupted=began)
    assert found.record.data_version == first.record.data_version
    assert found.outcome.rejected == {"too_long": 3}
    assert found.outcome.n_rows == 2
    assert not found.outcome.written, "there is one commit"
    writer.memory = Memory()
    with pytest.raises(AssertionError, match="computed"):
        writer.build()  # nothing was interrupted
    with pytest.raises(AssertionError, match="computed"):
        writer.build(interrupted=began, force=True)
    writer.tables.replace(WORDS, {"who": "a", "partition": "0"}, words("other"))
    with pytest.raises(AssertionError, match="computed"):
        writer.build(interrupted=began)  # somebody else wrote since
