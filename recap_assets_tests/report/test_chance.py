"""What guessing gives on average."""

import pytest

from recap_assets.report.chance import average_chance


def test_the_average_is_over_the_tasks_asked_for() -> None:
    found = {"coarse": 0.5, "retrieval": 0.1, "fine": 0.9}
    assert average_chance(found, ["coarse", "retrieval"]) == pytest.approx(0.3)


def test_an_average_with_a_task_whose_chance_is_unknown_has_none() -> None:
    assert average_chance({"coarse": 0.2}, ["coarse", "faces"]) is None
    assert average_chance({}, []) is None
