"""The pages of the documentation site: links hold, and nothing that a user may write is missing."""

import runpy
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import FAMILIES, kinds_of

SITE = Path(__file__).parents[2] / "docs" / "site"
README, GUIDE = PurePosixPath("README.md"), PurePosixPath("docs/guides/your_pool.md")
ROOM, MIXES = PurePosixPath("recap_assets/mixes/README.md"), PurePosixPath("docs/mixes.md")


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(SITE))
    return runpy.run_path(str(SITE / "pages.py"))


@pytest.mark.parametrize(
    ("file", "written", "shown"),
    [
        (README, "[mixes](docs/mixes.md#the-cap)", "[mixes](mixes.md#the-cap)"),
        (GUIDE, "[room](../../recap_assets/mixes/README.md)", "[room](../rooms/mixes.md)"),
        (GUIDE, "[start](../../README.md#your-own-pool)", "[start](../index.md#your-own-pool)"),
        (ROOM, "[how](../../docs/guides/your_pool.md)", "[how](../guides/your_pool.md)"),
        (MIXES, "[`top`](filters.md)", "[`top`](filters.md)"),
        (README, "![graph](docs/images/graph.png)", "![graph](images/graph.png)"),
        (MIXES, "[above](#here) [paper](https://arxiv.org/abs/1)", None),
        (MIXES, "[the registry](../recap_assets/specs/kinds.py)", "the registry"),
    ],
)
def test_a_link_leads_to_the_page_of_its_file(
    pages: dict[str, Any], file: PurePosixPath, written: str, shown: str | None
) -> None:
    found = pages["relinked"](written, file, pages["page_of_each_file"]())
    assert found == (written if shown is None else shown)


def test_a_link_to_nothing_is_an_error_that_names_it(pages: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"docs/mixes\.md: no file for the link to gone\.md"):
        pages["relinked"]("[it](gone.md)", MIXES, pages["page_of_each_file"]())


def test_every_file_of_the_docs_has_a_page_of_its_own(pages: dict[str, Any]) -> None:
    found = pages["page_of_each_file"]()
    assert len(set(found.values())) == len(found)
    assert found[PurePosixPath("docs/README.md")] == PurePosixPath("contents.md")
    assert not [file for file in found if file.parts[:2] == ("docs", "site")]


def test_every_section_kind_and_key_of_an_experiment_file_is_told() -> None:
    page = runpy.run_path(str(SITE / "experiment_file.py"))["experiment_page"]()
    assert [name for name in Experiment.model_fields if f"| `{name}` |" not in page] == []
    for family, about in FAMILIES.items():
        for kind in kinds_of(family).values():
            title = f"{about.field}: {kind.name}" if about.field else kind.name
            assert not kind.is_ours or f"### `{title}`\n" in page
    assert "### ServerDecoding\n" in page
    assert "[ServerDecoding](#serverdecoding)" in page
    assert "$ref" not in page
