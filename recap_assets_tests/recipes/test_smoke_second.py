"""Recipes run at smoke size: the second part of them."""

from pathlib import Path

import pytest

from recap_assets.specs.recipe_book import Entry
from recap_assets_tests.recipes.smoke import REASON, halves, run_recipe


@pytest.mark.long(reason=REASON)
@pytest.mark.parametrize("one", halves()[1], ids=lambda one: one.path.stem)
def test_a_recipe_runs_from_its_pool_to_its_report(one: Entry, tmp_path: Path) -> None:
    run_recipe(one, tmp_path)
