"""The files that start first are there, and are sorted to the front."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recap_assets_tests.order import LONGEST_FIRST, TESTS, pytest_collection_modifyitems


@pytest.mark.parametrize("name", LONGEST_FIRST)
def test_a_file_that_starts_first_is_there(name: str) -> None:
    assert (TESTS / name).is_file()


def test_the_longest_file_starts_first_and_a_file_keeps_its_order() -> None:
    long, other = (TESTS / name for name in (LONGEST_FIRST[0], "mixes/test_selection.py"))
    second = TESTS / LONGEST_FIRST[1]
    items: list[Any] = [
        SimpleNamespace(path=path, number=number, get_closest_marker=lambda _mark: None)
        for number, path in enumerate([other, second, long, other, long])
    ]
    pytest_collection_modifyitems(items)
    assert [item.number for item in items] == [2, 4, 1, 0, 3]


@pytest.mark.parametrize("text", ["pytestmark = pytest.mark.long", "from ours import marked"])
def test_a_file_names_the_marks_by_which_it_is_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(text)
    item: Any = SimpleNamespace(path=path, get_closest_marker=lambda mark: mark == "long")
    refused = pytest.raises(LookupError, match=r"test_it\.py: write `mark\.long` in it")
    with nullcontext() if "mark.long" in text else refused:
        pytest_collection_modifyitems([item])
