"""The pages of the families: every family has one, its table and its example hold."""

import re
from importlib import import_module

import pytest

from recap_assets.specs.base import Spec, word_of
from recap_assets.specs.kinds import FAMILIES, unfit
from recap_assets_tests.assembly.family_pages import ROOT, examples, pages, with_tables

FOLDERS = {path.parent.name for path in ROOT.glob("*/assets.py")} - {"defs"} | {"world", "tracking"}
"""Those with assets, what draws the sets, pools and corpora of the demo, and trackers."""


def test_every_family_has_a_page_of_a_screen() -> None:
    assert {page.parent.name for page in pages()} == FOLDERS
    assert max(len(page.read_text().splitlines()) for page in pages()) < 100


def test_every_family_of_kinds_has_its_table() -> None:
    found = [
        name for page in pages() for name in re.findall(r"<!-- kinds: (\w+)", page.read_text())
    ]
    assert sorted(found) == sorted(FAMILIES)


def test_the_guide_lists_every_family_with_its_base_and_contract() -> None:
    lines = (ROOT.parent / "docs" / "guides" / "write_a_kind.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| `recap.")]
    given = {group.strip("|` "): base.strip("`") for group, base, *_ in rows}
    assert given == {f"recap.{name}": one.base.replace(":", ".") for name, one in FAMILIES.items()}
    for _, _, contract, page in rows:
        import_module(contract.strip("`"))
        assert page.split("](")[0].lstrip("[") in FOLDERS


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.parent.name)
def test_the_table_is_that_of_the_registry(page) -> None:
    message = "python -m recap_assets_tests.assembly.family_pages writes it again"
    assert page.read_text() == with_tables(page.read_text()), message


@pytest.mark.parametrize(("family", "code"), [pytest.param(*one, id=one[0]) for one in examples()])
def test_the_smallest_kind_can_be_registered(family: str, code: str) -> None:
    known: dict[str, object] = {"__name__": "a_package"}
    exec(compile(code, "README.md", "exec"), known)  # noqa: S102 - our own page
    specs = [one for one in known.values() if isinstance(one, type) and issubclass(one, Spec)]
    (spec,) = [one for one in specs if one.__module__ == "a_package"]
    assert unfit(family, word_of(spec), spec) == ""
