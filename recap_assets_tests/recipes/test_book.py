"""The recipe book on the command line, and every file of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recap_assets.cli.main import recap
from recap_assets.cli.recipes import page
from recap_assets.specs.loading import load_experiment
from recap_assets.specs.recipe_book import RECIPES, Entry, RecipeError, recipe_named, recipes

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.mark.parametrize("one", recipes(), ids=lambda one: one.path.stem)
def test_every_recipe_can_be_read_at_every_size(one: Entry) -> None:
    names = {load_experiment(one.path, [f"size={size}"]).name for size in one.sizes}
    assert names == {one.experiment(size) for size in one.sizes}
    assert "smoke" in one.sizes
    assert one.recipe.expects, "a finding that is not expected cannot be missed"


def test_recipes_have_names_of_their_own() -> None:
    found = recipes()
    assert len(list(RECIPES.glob("*.yaml"))) == len(found) == len({one.number for one in found})
    assert len({one.experiment("full") for one in found}) == len({one.word for one in found})


def test_the_page_is_what_the_files_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_a_recipe_is_named_by_its_number_or_its_name() -> None:
    [first, *_] = recipes()
    for word in (first.number, first.number.lstrip("0"), first.word, first.path.stem):
        assert recipe_named(word) == first
    with pytest.raises(RecipeError, match=f"did you mean .*{first.word}"):
        recipe_named(f"{first.word}x")
    with pytest.raises(RecipeError, match="`recap recipes` lists them"):
        recipe_named("no such thing")


def test_they_are_listed_shown_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAP_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    [first, *_] = recipes()
    run = lambda *words: CliRunner().invoke(recap, ["recipes", *words])  # noqa: E731
    assert first.word in run().output
    [listed, *_] = json.loads(run("--json").output)
    assert (listed["number"], listed["results"]) == (first.number, {})
    assert listed["expects"]
    shown = run("show", first.word).output
    assert first.recipe.found in shown
    assert first.path.read_text(encoding="utf-8") in shown
    assert run("copy", first.word).exit_code == 0
    assert Path(f"{first.word}.yaml").read_bytes() == first.path.read_bytes()
    again = run("copy", first.word)
    assert again.exit_code == 1
    assert "exists; name another file" in again.output
