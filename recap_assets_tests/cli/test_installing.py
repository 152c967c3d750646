"""The downloader's environment, and what the guide says of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import TypeAdapter

from recap_assets.cli.main import recap
from recap_assets.pool.kinds.urls import tool
from recap_assets.pool.kinds.urls.tool import PINS, find_python, quiet
from recap_assets.specs.pool import Pool

GUIDE = Path(__file__).parents[2] / "docs" / "downloading.md"


def test_every_package_is_pinned_by_name_and_version_only() -> None:
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    pin = re.compile(r'[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*(; python_version >= "3\.\d+")?')
    assert [line for line in lines if not pin.fullmatch(line)] == []
    assert "img2dataset==1.47.0" in lines
    assert not any(line.startswith("wandb") for line in lines)


def test_the_environment_is_the_pinned_one() -> None:
    words = "from importlib.metadata import version; print(version('img2dataset'))"
    command = [str(find_python()), "-c", words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
    assert done.stdout.strip() == "1.47.0"


def test_an_environment_that_was_interrupted_while_it_was_made_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tool"
    venv = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(venv, check=True)  # noqa: S603 - fixed words
    (tmp_path / "pins.txt").touch()
    monkeypatch.setattr(tool, "PINS", tmp_path / "pins.txt")
    with pytest.raises(subprocess.CalledProcessError, match="import albumentations"):
        tool.install(folder)  # which the empty list does not bring
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--version"]
    subprocess.run(pip, check=True, capture_output=True)  # noqa: S603 - fixed words


def test_nothing_in_it_looks_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    variables = quiet()
    assert variables["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert "secret" not in variables.values()
    assert "PYTHONPATH" not in variables
    assert variables["PATH"] == os.environ["PATH"]


def test_every_pool_of_the_guide_is_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        pool = TypeAdapter(Pool).validate_python(yaml.safe_load(block)["pool"])
        assert pool.kind == "urls"


def test_the_doctor_says_what_the_list_has_and_what_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.csv").write_text("url,text\nhttps://example.org/1.jpg,a\nfile:///x,b\n")
    monkeypatch.setenv("RECAP_IMG2DATASET", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    settings = [f"pool={{kind: urls, urls: {tmp_path / 'list.csv'}}}"]
    options = [word for project in settings for word in ("--set", project)]
    printed = CliRunner().invoke(recap, ["-e", "demo", *options, "doctor"]).output
    assert "list.csv has 2 rows, 1 bad_url" in printed
    assert "`recap install-img2dataset`" in printed
