import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.evaluation.averages import averages_by_seed
from recap_assets.report.leaderboard import leaderboard


def results(*rows: tuple[str, int, str, float]) -> pl.DataFrame:
    """Main metrics, each with a side metric that must never count."""
    main = [(mix, seed, task, "acc1", value, True, 10) for mix, seed, task, value in rows]
    side = [(mix, seed, task, "acc5", 1.0, False, 10) for mix, seed, task, _ in rows]
    return pl.DataFrame(main + side, schema=EVALUATION_RESULTS.required, orient="row")


def mixes(*names: str) -> pl.DataFrame:
    rows = [(name, 100, 0.25) for name in names]
    return pl.DataFrame(rows, schema=["mix", "n_pairs", "raw_share"], orient="row")


def _row(board: pl.DataFrame, mix: str, task: str) -> dict[str, object]:
    return board.row(by_predicate=pl.col("mix").eq(mix) & pl.col("task").eq(task), named=True)


def test_the_average_is_over_tasks_within_a_seed_then_over_seeds():
    found = results(("a", 0, "x", 0.2), ("a", 0, "y", 0.4), ("a", 1, "x", 0.4), ("a", 1, "y", 0.6))

    board = leaderboard(found, mixes("a"), ["x", "y"])

    assert board.schema == LEADERBOARD.schema
    average = _row(board, "a", "average")
    assert average["mean"] == pytest.approx(0.4)
    assert average["deviation"] == pytest.approx(0.02**0.5)  # of 0.3 and 0.5, with n - 1
    assert (average["n_seeds"], average["n_pairs"], average["raw_share"]) == (2, 100, 0.25)
    assert _row(board, "a", "x")["mean"] == pytest.approx(0.3)
    assert _row(board, "a", "x")["metric"] == "acc1"


def test_seeds_that_move_together_leave_the_average_no_less_deviation():
    # The deviation over seeds of the average is not the mean of the tasks' deviations.
    found = results(("a", 0, "x", 0.2), ("a", 0, "y", 0.6), ("a", 1, "x", 0.6), ("a", 1, "y", 0.2))

    average = _row(leaderboard(found, mixes("a"), []), "a", "average")

    assert average["deviation"] == pytest.approx(0)


def test_one_seed_has_no_deviation():
    board = leaderboard(results(("a", 0, "x", 0.2)), mixes("a"), ["x"])

    assert board["deviation"].to_list() == [None, None]
    assert board["n_seeds"].to_list() == [1, 1]


def test_only_the_named_tasks_are_averaged_but_all_are_listed():
    found = results(("a", 0, "x", 0.2), ("a", 0, "y", 0.8))

    board = leaderboard(found, mixes("a"), ["x"])

    assert _row(board, "a", "average")["mean"] == pytest.approx(0.2)
    assert _row(board, "a", "y")["mean"] == pytest.approx(0.8)


def test_a_run_that_lacks_a_task_has_no_average():
    found = results(("a", 0, "x", 0.2), ("a", 0, "y", 0.4), ("a", 1, "x", 0.9), ("b", 0, "x", 0.9))

    board = leaderboard(found, mixes("a", "b"), [])

    assert _row(board, "a", "average")["mean"] == pytest.approx(0.3)
    assert _row(board, "a", "average")["n_seeds"] == 1
    assert board.filter(mix="b")["task"].to_list() == ["x"]


def test_results_of_a_mix_that_is_gone_are_left_out():
    board = leaderboard(results(("a", 0, "x", 0.2), ("old", 0, "x", 0.9)), mixes("a"), [])

    assert board["mix"].unique().to_list() == ["a"]


def test_without_results_the_leaderboard_is_empty():
    board = leaderboard(EVALUATION_RESULTS.empty(), mixes("a"), [])

    assert board.is_empty()
    assert board.schema == LEADERBOARD.schema


def test_the_order_of_the_rows_changes_not_a_bit():
    found = results(*[("a", seed, task, 0.1 * seed + 0.07) for seed in range(9) for task in "xyz"])

    shuffled = found.sample(fraction=1, shuffle=True, seed=3)

    board = leaderboard(found, mixes("a"), [])
    assert board.equals(leaderboard(shuffled, mixes("a"), []))
    assert averages_by_seed(found, []).equals(averages_by_seed(shuffled, []))
