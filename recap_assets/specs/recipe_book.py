"""The recipes that come with the package: experiment files with a section `recipe`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from recap_assets.specs.loading import FULL, SHIPPED, read_file
from recap_assets.specs.recipe import Recipe
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

RECIPES = SHIPPED / "recipes"


class RecipeError(RecapError, ValueError):
    """There is no such recipe. The text names those that are near."""


@dataclass(frozen=True)
class Entry:
    """One recipe.

    Attributes:
        path: Its file, NN_name.yaml.
    """

    path: Path

    @property
    def number(self) -> str:
        """Its number, in two digits."""
        return self.path.stem.partition("_")[0]

    @property
    def word(self) -> str:
        """How it is called on the command line."""
        return self.path.stem.partition("_")[2]

    @cached_property
    def _content(self) -> Mapping[str, object]:
        return read_file(self.path)

    @property
    def recipe(self) -> Recipe:
        """What it says of itself."""
        return Recipe.model_validate(self._content["recipe"])

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes that it can be built at."""
        return (FULL, *cast("Mapping[str, object]", self._content.get("sizes", {})))

    def experiment(self, size: str) -> str:
        """The name of its experiment at a size."""
        name = str(self._content["name"])
        return name if size == FULL else f"{name}_{size}"


def recipes() -> list[Entry]:
    """All of them, by number."""
    return [Entry(path) for path in sorted(RECIPES.glob("[0-9][0-9]_*.yaml"))]


def recipe_named(word: str) -> Entry:
    """The recipe of a number or a name.

    Raises:
        RecipeError: There is none.
    """
    found = recipes()
    for one in found:
        if word in (one.number, one.number.lstrip("0"), one.word, one.path.stem):
            return one
    near = difflib.get_close_matches(word, [one.word for one in found], n=3)
    known = f"; did you mean {', '.join(near)}?" if near else "; `recap recipes` lists them"
    msg = f"there is no recipe {one_line(word, 80)!r}{known}"
    raise RecipeError(msg)
