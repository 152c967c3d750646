"""Kinds of other packages: found by their entry points, and named where they cannot be used."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from recap_assets.specs import kinds
from recap_assets.specs.kinds import KindError, kinds_of, why_unknown
from recap_assets.specs.sources import Source
from recap_assets_tests.captions.opening import Kept
from recap_assets_tests.cli.running import recap_in

UNFINISHED = """
from typing import Literal
from recap_assets.captions.kind import Captioning
class Grey(Captioning):
    kind: Literal["grey"]
"""
PACKAGE = Path(__file__).with_name("package")


@pytest.fixture(autouse=True)
def registry_as_before() -> Iterator[None]:
    kinds_of.cache_clear()
    yield
    kinds_of.cache_clear()
    for name in [name for name in sys.modules if name.startswith("recap_shades")]:
        del sys.modules[name]


def install(
    site: Path, patch: pytest.MonkeyPatch, name: str, points: str, version: str = "1.2"
) -> None:
    """What pip leaves of a distribution whose code is elsewhere."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[recap.captions]\n{points}\n")
    patch.syspath_prepend(str(site))


@pytest.fixture
def shades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(PACKAGE))
    install(tmp_path / "site", monkeypatch, "recap-shades", "shades = recap_shades:ShadesSource")
    (tmp_path / "words.txt").write_text("dark bright")
    return tmp_path / "words.txt"


def parsed(**fields: object) -> object:
    return TypeAdapter(Source).validate_python(fields)


def test_a_kind_of_another_package_is_like_one_of_ours(shades: Path) -> None:
    source = parsed(kind="shades", words=str(shades))
    opened = source.open(Kept(shades))  # type: ignore[attr-defined]
    assert kinds_of("captions")["shades"].distribution == "recap-shades"
    assert type(opened).__name__ == "Shades"


def test_it_decides_by_its_distribution_and_not_by_its_version(shades: Path) -> None:
    source = parsed(kind="shades", words=str(shades), batch_size=3)
    assert source.decides() == {  # type: ignore[attr-defined]
        "kind": "shades", "subject": "picture", "candidates": 1,
        "distribution": "recap-shades", "implementation": 1,
    }  # fmt: skip
    assert source.given_by == {"recap.kind": "recap-shades 1.2"}  # type: ignore[attr-defined]


def test_the_module_of_a_kind_is_imported_without_torch() -> None:
    for kind in kinds_of("captions").values():
        assert kind.is_ours
        assert kind.summary


def test_two_packages_that_claim_one_kind(
    shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "b", monkeypatch, "recap-greys", "shades = recap_shades:ShadesSource", "3")
    with pytest.raises(KindError, match=r"'shades' is given by recap-\w+ [\d.]+ and recap-\w+"):
        parsed(kind="shades", words=str(shades))


def test_one_of_ours_cannot_be_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "recap-greys", "openai = recap_shades:ShadesSource")
    monkeypatch.syspath_prepend(str(PACKAGE))
    with pytest.raises(KindError, match=r"'openai' is given by recap-assets .* and recap-greys"):
        kinds_of("captions")


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ("grey = recap_nowhere:Source", r"ModuleNotFoundError: No module named 'recap_nowhere'"),
        ("grey = recap_shades:Nothing", r"AttributeError: .*Nothing"),
        ("grey = recap_shades:ShadesSource", r"its field `kind` is 'shades' and not 'grey'"),
        (
            "grey = recap_shades:Shades",
            r"is no subclass of recap_assets\.captions\.kind\.CaptionSource",
        ),
        ("grey = unfinished_greys:Grey", r"it does not give open"),
        ("grey = antigravity_crash:X", r"RuntimeError: stop"),
    ],
)
def test_a_broken_package_is_named_and_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, why: str
) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    (tmp_path / "antigravity_crash.py").write_text("raise RuntimeError('stop')")
    (tmp_path / "unfinished_greys.py").write_text(UNFINISHED)
    install(tmp_path, monkeypatch, "recap-greys", point)
    with pytest.raises(ValidationError):
        parsed(kind="grey")
    told = why_unknown("captions", "grey")
    assert told.startswith("the kind 'grey' is given by recap-greys 1.2, which cannot be imported")
    assert re.search(why, told)
    assert parsed(kind="openai", model="m")


def test_a_kind_that_nobody_gives_is_named_with_those_that_there_are() -> None:
    told = why_unknown("captions", "onnx")
    assert told == (
        "no installed package gives a kind 'onnx'; there are embedded, transformers, open_clip, "
        "openai, vllm, import, reranked, template, split, rewrite, shared, regions"
    )


def test_recap_kinds_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "recap-greys", "grey = recap_nowhere:Source")
    done = recap_in(monkeypatch, tmp_path)("kinds")
    assert done.exit_code == 0
    words = [line.split()[:3] for line in done.output.splitlines()]
    assert ["captions", "transformers", "recap-assets"] in words
    (broken,) = [line for line in done.output.splitlines() if "recap-greys 1.2" in line]
    assert "cannot be imported: ModuleNotFoundError" in broken
    heading = 1
    assert sum(map(len, kinds.BUILT_IN.values())) + heading + 1 == len(words)
