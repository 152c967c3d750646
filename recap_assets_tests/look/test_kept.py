"""What was computed is kept while its tables stay, and only who asks for the same waits."""

import threading
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.judgements import JUDGEMENTS
from recap_assets.artefacts.scores import SCORE_HISTOGRAMS
from recap_assets.look import kept
from recap_assets.look.kept import Kept
from recap_assets.storage.tables import TableStore

DEADLINE = 60.0


@pytest.fixture
def tables(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path))


def written(tables: TableStore, n: int) -> None:
    rows = pl.DataFrame({"bin": [n], "n": [n]}, schema={"bin": pl.Int32, "n": pl.Int64})
    at = {"scorer": "clip", "source": "raw", "partition": "0"}
    tables.replace(SCORE_HISTOGRAMS, at, rows)


def test_a_result_is_of_its_tables_and_of_what_it_is_of(tables: TableStore) -> None:
    results, both = Kept(tables), (JUDGEMENTS, SCORE_HISTOGRAMS)
    computed = iter(range(10))

    def ask(of: str) -> int:
        return results.of(both, ("a",), lambda: next(computed), of=of)

    assert [ask("x"), ask("x")] == [0, 0]
    written(tables, 1)
    assert [ask("x"), ask("x")] == [1, 1]
    assert [ask("y"), ask("x")] == [2, 3], "one result of a name"


def test_the_one_asked_for_longest_ago_goes(
    tables: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", 2)
    results, computed = Kept(tables), list[str]()

    def ask(name: str) -> None:
        results.of(JUDGEMENTS, (name,), lambda: computed.append(name))

    for name in "ababcab":
        ask(name)
    assert "".join(computed) == "abcab"


def test_who_asks_for_another_result_does_not_wait(tables: TableStore) -> None:
    results = Kept(tables)
    is_begun, may_end = threading.Event(), threading.Event()
    n_computed = []

    def slow() -> str:
        n_computed.append(1)
        is_begun.set()
        assert may_end.wait(DEADLINE)
        return "slow"

    found: list[str] = []
    asking = [
        threading.Thread(target=lambda: found.append(results.of(JUDGEMENTS, ("slow",), slow)))
        for _ in range(2)
    ]
    for one in asking:
        one.start()
    assert is_begun.wait(DEADLINE)
    assert results.of(JUDGEMENTS, ("quick",), lambda: "quick") == "quick"
    may_end.set()
    for one in asking:
        one.join(DEADLINE)
    assert found == ["slow", "slow"]
    assert len(n_computed) == 1
