"""The captioners side by side: each number is the one of its table."""

import polars as pl

from recap_assets.report import page
from recap_assets.report.captioners import CAPTIONERS, Result, captioner_rows, measures_of
from recap_assets.report.charts import captioned
from recap_assets.report.contents import ReportData, RunFacts
from recap_assets_tests.report import sample_data as sample

ROWS = pl.DataFrame(
    [
        ("raw", "raw", "mean clip", 0.083),
        ("raw", "raw", "unique trigrams", 3082.0),
        ("a", "a", "CIDEr", 1.893),
        ("a", "a", "mean clip", 0.311),
        ("a", "a", "unique trigrams", 2071.0),
        ("b", "b", "CIDEr", 2.008),
        ("b", "b", "mean clip", 0.302),
        ("b", "b", "unique trigrams", 1590.0),
        ("unused", None, "CIDEr", 0.5),
    ],
    schema=CAPTIONERS,
    orient="row",
)


def data(run: RunFacts) -> ReportData:
    return ReportData(
        run,
        sources=("raw", "a", "b", "unused"),
        leaderboard=sample.leaderboard(),
        captioners=ROWS,
        tasks_shown=("average", "retrieval"),
    )


def test_a_row_holds_what_was_measured_and_what_was_trained() -> None:
    board = sample.leaderboard()
    rows = {row.source: row for row in captioner_rows(ROWS, board, ("average", "retrieval"))}
    assert measures_of(ROWS) == ["CIDEr", "mean clip", "unique trigrams"]
    assert rows["raw"].values == (None, 0.083, 3082.0)
    assert rows["b"].values == (2.008, 0.302, 1590.0)
    seen = dict(board.filter(task="retrieval").select("mix", "mean").iter_rows())
    means = {name: row.results[1].mean for name, row in rows.items() if row.results[1]}
    assert means == {name: seen[name] for name in ("raw", "a", "b")}
    assert isinstance(rows["a"].results[0], Result)
    assert rows["unused"].results == (None, None)


def test_a_measure_of_two_captioners_with_mixes_of_their_own_is_drawn() -> None:
    drawn = {one.measure: one.chart for one in captioned(data(sample.run_facts()))}
    assert list(drawn) == ["CIDEr", "mean clip", "unique trigrams"]
    assert ">longer<" not in drawn["CIDEr"]
    assert ">b<" in drawn["CIDEr"]
    assert ">unused<" not in drawn["CIDEr"]


def test_the_page_has_them_where_they_were_measured_and_no_such_part_where_not() -> None:
    shown = page.render(data(sample.run_facts()))
    assert "<td>2.008</td>" in shown
    assert "<td>3,082</td>" in shown
    assert "CIDEr against usefulness" in shown
    assert 'id="captioners"' not in page.render(ReportData(sample.run_facts()))
