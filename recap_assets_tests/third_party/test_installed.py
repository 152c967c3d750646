"""A captioner, a condition and an export that pip installs: built, verified, and missed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable

from recap_assets_tests.faults.small import experiment, write_experiment

pytestmark = pytest.mark.long(reason="a package that pip installs, and builds with it")

PACKAGE = Path(__file__).with_name("package")
REPOSITORY = Path(__file__).parents[2]
SECONDS = 900


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed from its folder."""
    at = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PACKAGE, at / "source")  # building writes beside it
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", *words, "--target", str(at / "site"), str(source)]
    subprocess.run(command, check=True, timeout=SECONDS)  # noqa: S603 - fixed words
    return at / "site"


def run(folder: Path, site: Path | None, *words: str) -> tuple[int, str]:
    """`recap` on the experiment of a folder: exit code, and all that it says."""
    path = [str(REPOSITORY), *([str(site)] if site else [])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "RECAP_DATA": str(folder / "data"),
        "RECAP_EXPERIMENT": str(folder / "experiment.yaml"),
    }
    done = subprocess.run(  # noqa: S603 - fixed words
        [sys.executable, "-m", "recap_assets.cli.main", *words],
        capture_output=True, text=True, env=environment, cwd=folder, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def write(folder: Path, **changes: object) -> Mapping[str, object]:
    path = folder / "experiment.yaml"
    if not path.exists():
        write_experiment(folder, path)
    (folder / "words.txt").write_text("dark grey bright")
    source = {"kind": "shades", "words": str(folder / "words.txt"), **changes}
    mixes = {"wordy": [{"use": "raw", "where": {"without": {"words_at_least": 6}}}]}
    content = {**experiment(folder), "sources": {"shade": source}}
    content["mixes"] = {**content["mixes"], **mixes}
    content["exports"] = {"told": {"mix": "wordy", "to": "lines", "captions": []}}
    path.write_text(yaml.safe_dump(content))
    return content


def table(folder: Path, name: str) -> pl.DataFrame:
    stored = DeltaTable(folder / "data" / "faults" / "tables" / name)
    return pl.DataFrame(pl.from_arrow(stored.to_pyarrow_table()))


def test_it_is_built_and_rebuilt_and_missed(site: Path, tmp_path: Path) -> None:
    write(tmp_path)
    select = ("--select", "synthetic_captions/shade", "--select", "exports/told")
    code, output = run(tmp_path, site, "build", "--yes", "--jobs", "1", *select)
    assert code == 0, output
    texts = table(tmp_path, "synthetic_captions")["text"]
    assert texts.str.contains(r"^a (dark|grey|bright) picture 0$").all()
    assert set(table(tmp_path, "curated_mixes")["mix"]) == {"wordy"}
    lineage = table(tmp_path, "lineage")
    for asset in ("synthetic_captions/shade", "curated_mixes/wordy", "exports/told"):
        provenance = lineage.filter(asset=asset)["provenance"]
        assert provenance.str.contains("recap-shades 1.2", literal=True).all()

    assert run(tmp_path, site, "verify", "exports/told")[0] == 0
    out = str(tmp_path / "out")
    words = ("export", "wordy", "--to", "lines", "--prompt", "so: ", "--out", out)
    code, output = run(tmp_path, site, *words)
    assert (code, "read_ndjson" in output) == (0, True), output
    assert pl.read_ndjson(f"{out}/*.jsonl")["text"].str.starts_with("so: ").all()
    assert run(tmp_path, site, "export", "--verify", out)[0] == 0

    write(tmp_path, batch_size=2)
    assert "synthetic_captions" not in run(tmp_path, site, "plan")[1].partition("reads what")[0]

    code, output = run(tmp_path, None, "plan")
    assert code == 1
    assert "sources.shade: no installed package gives a kind 'shades'" in output
    assert "mixes.wordy.rules.0.where.without: a condition is one of top, best" in output
    assert "exports.told: no installed package gives a kind 'lines'" in output
    for word in ("captions.shades", "conditions.words_at_least", "exports.lines"):
        assert f"{word} was last built with recap-shades 1.2" in output
    assert "install that again" in output
    assert "Traceback" not in output
