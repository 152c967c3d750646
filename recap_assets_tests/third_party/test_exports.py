"""An export and a pool of another package: wherever ours stand, asked for, built, and missed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from recap_assets.exports.assets import nodes
from recap_assets.exports.checksums import check_folder
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Node, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import Spec
from recap_assets.specs.exports import parse_export
from recap_assets.specs.kinds import kinds_of
from recap_assets.storage.folders import Folder
from recap_assets.testing.exports import MIX, ExportContract, exported_pool
from recap_assets.testing.pools import PoolContract
from recap_assets_tests.cli.running import Recap, recap_in
from recap_assets_tests.third_party.installing import install, look_again

PACKAGE = Path(__file__).with_name("package")
POINTS = {
    "exports": {"lines": "recap_shades.lines:LinesExport"},
    "pools": {"greys": "recap_shades.lines:GreysPool"},
}


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        install(tmp_path_factory.mktemp("site"), patch, "recap-shades", POINTS)
        yield
    for name in [name for name in sys.modules if name.startswith("recap_shades")]:
        del sys.modules[name]
    look_again()


def lines(**options: object) -> Spec:
    return parse_export({"to": "lines", "mix": MIX, **options})


def built(folder: Path, export: Spec) -> tuple[Project, dict[str, Node]]:
    project = exported_pool(folder, exports={"e": export})
    found = {node.key: node for node in nodes(project)}
    for node in found.values():
        for partition in project.partitions if node.dimension == "pool" else ("",):
            outcome = compute_and_write(node, Step(partition, asset=node.key))
            assert outcome.machine == {"recap.kind": "recap-shades 1.2"}
    return project, found


def test_its_assets_decide_by_its_fields_and_its_distribution(tmp_path: Path) -> None:
    project, found = built(tmp_path, lines(letters=40))
    for node in found.values():
        decided = json.loads(node.decides)["export"]
        assert decided["distribution"] == "recap-shades"
        assert (decided["letters"], decided["implementation"]) == (40, 1)
    folder = Folder(str(project.workspace.exports / "e"))
    assert not check_folder(folder).problems
    written = pl.concat(pl.read_ndjson(path) for path in Path(folder.url).rglob("*.jsonl"))
    assert written.height == 16
    assert "read_ndjson" in (folder.read("README.md") or b"").decode()


def test_a_new_implementation_writes_shards_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, found = built(tmp_path, lines())
    (path, *_) = (project.workspace.exports / "e").rglob("*.jsonl")
    before = path.stat().st_mtime_ns
    shards = found["export_shards/e"]
    shards.compute(Step("00000"))
    assert path.stat().st_mtime_ns == before
    spec = kinds_of("exports")["lines"].spec
    monkeypatch.setattr(spec, "implementation", 2)
    (again, _) = nodes(project)
    assert again.code_version != shards.code_version
    again.compute(Step("00000"))
    assert path.stat().st_mtime_ns != before


class TestLines(ExportContract):
    @pytest.fixture(autouse=True)
    def given(self) -> None:
        self.spec = lines(prompt="a ", samples_per_shard=4)  # type: ignore[assignment]


class TestGreys(PoolContract):
    def given(self, folder: Path) -> Spec:  # type: ignore[override] # noqa: ARG002
        spec = kinds_of("pools")["greys"].spec
        assert spec is not None
        return spec(kind="greys")  # type: ignore[call-arg]


@pytest.fixture
def recap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recap:
    """The command line on an experiment whose mix is built."""
    project = exported_pool(tmp_path / "pool")
    written = project.experiment.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(written))
    run = recap_in(monkeypatch, tmp_path)
    monkeypatch.setenv("RECAP_DATA", str(project.workspace.data))
    return lambda *words: run("-e", tmp_path / "e.yaml", *words)


def test_recap_export_takes_its_fields_for_options(recap: Recap, tmp_path: Path) -> None:
    told = recap("export", "--help").output
    assert "|lines]" in told
    assert "lines: What stands before each text." in told
    out = tmp_path / "out"
    words = ("--to", "lines", "--prompt", "see: ", "--letters", "20", "--out", out)
    done = recap("export", MIX, *words)
    assert done.exit_code == 0, done.output
    assert "left out 5: the text has more letters than `letters`" in done.output
    assert f'polars.read_ndjson("{out}/*.jsonl")' in done.output
    texts = pl.read_ndjson(out / "00000000.jsonl")["text"]
    assert (len(texts), texts.str.starts_with("see: text ").all()) == (11, True)
    assert recap("export", "--verify", out).exit_code == 0
    assert (
        "5: the text has more letters than `letters` (`too_long`)"
        in (out / "README.md").read_text()
    )


def test_a_field_of_another_kind_is_refused(recap: Recap, tmp_path: Path) -> None:
    for words in (("--shuffle", "1"), ("--letters", "0")):
        done = recap("export", MIX, "--to", "lines", "--out", tmp_path / "out", *words)
        assert done.exit_code == 2
        assert words[0] in done.output


def test_what_is_of_no_package_is_named() -> None:
    with pytest.raises(ValidationError, match="no installed package gives a kind 'verses'"):
        parse_export({"to": "verses", "mix": MIX})
