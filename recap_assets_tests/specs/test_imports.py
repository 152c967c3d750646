from typing import Any

import pytest

from recap_assets.captions.kinds.imported import ImportSource
from recap_assets.captions.kinds.imported.spec import PRESETS
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import EXPERIMENT, tiny_experiment


def imported(**fields: Any) -> ImportSource:
    sources = {**EXPERIMENT["sources"], "third": {"kind": "import", **fields}}
    source = tiny_experiment(sources=sources).sources["third"]
    assert isinstance(source, ImportSource)
    return source


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_in_the_columns_and_what_is_written_wins(preset: str) -> None:
    source = imported(preset=preset, files="a.parquet")
    assert {name: getattr(source, name) for name in PRESETS[preset]} == PRESETS[preset]
    other = imported(preset=preset, files="a.parquet", caption="mine")
    assert other.caption == "mine"


def test_the_key_is_named_as_what_it_is_unless_said_otherwise() -> None:
    assert imported(files="a.csv", caption="c").columns == ("uid", "c")
    assert imported(files="a.csv", caption="c", by="sha256").columns == ("sha256", "c")
    source = imported(files=["a.csv", "b.csv"], caption="c", by="url", key="URL", expected_text="t")
    assert source.files == ("a.csv", "b.csv")
    assert source.columns == ("URL", "c", "t")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"files": "a.csv"}, "caption: Field required"),
        ({"files": [], "caption": "c"}, "files"),
        ({"files": "a.csv", "caption": "c", "by": "key"}, "'uid', 'sha256' or 'url'"),
        ({"files": "a.csv", "preset": "laion"}, "'datacomp_blip2', 'recap_datacomp_1b'"),
        ({"files": "a.csv", "caption": "c", "conflicts": "last"}, "'first', 'candidates'"),
        ({"files": "a.csv", "caption": "c", "capton": "c"}, "did you mean"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        imported(**fields)
    assert told in str(caught.value)
    assert "sources.third" in str(caught.value)
