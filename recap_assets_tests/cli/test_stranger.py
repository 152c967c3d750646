"""A stranger's path: the wheel in an empty folder, a real shard, and nothing of the repository."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from recap_assets.cli.forms import FORMS
from recap_assets_tests.captions.tiny_captioners import save_blip
from recap_assets_tests.ports import free_port
from recap_assets_tests.scores.tiny_clip import save_clip

pytestmark = pytest.mark.long(reason="a wheel is built, and a pool with it, each command a process")

REPOSITORY = Path(__file__).parents[2]
SECONDS = 900


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources and installed beside what this Python has."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    shutil.copytree(
        REPOSITORY / "recap_assets",
        sources / "recap_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, sources)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    alone = ["--no-deps", "--no-index"]
    made = [*pip, "wheel", *alone, "--no-build-isolation", "-w", str(folder), str(sources)]
    subprocess.run(made, check=True)  # noqa: S603 - our own words
    (wheel,) = folder.glob("recap_assets-*.whl")
    install = [*pip, "install", *alone, "--target", str(folder / "site"), str(wheel)]
    subprocess.run(install, check=True)  # noqa: S603 - our own words
    shutil.rmtree(sources)
    return folder / "site"


class Stranger:
    """Somebody in a folder with the wheel, and nothing else of ours."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        own = ("RECAP_", "DAGSTER_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self.environment = {**kept, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}

    def start(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-m", "recap_assets.cli.main", *words]
        return subprocess.Popen(  # noqa: S603 - our own words
            command, cwd=self.folder, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def recap(self, *words: str) -> str:
        """What a command printed; it must go well."""
        process = self.start(*words)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"{words}\n{out[-4000:]}\n{err[-4000:]}"
        assert "Traceback" not in err
        assert str(REPOSITORY) not in out + err
        return out

    def read(self, command: str, *words: str) -> Any:
        """What a command printed with `--json`, of the form that the docs give it."""
        printed = self.recap(*command.split(), *words, "--json")
        return TypeAdapter(FORMS[command]).validate_json(printed, strict=True)


@pytest.fixture(scope="module")
def stranger(
    installed: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stranger:
    """In a folder with one real shard and two small models that somebody gave them."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "shards").mkdir()
    shard = shared_data / "pools" / "webalt" / "shards" / "00000005.tar"
    shutil.copy(shard, folder / "shards")
    for name, save in (("blip", save_blip), ("clip", save_clip)):
        (folder / name).mkdir()
        save(folder / name)
    return Stranger(folder, installed)


def edited(path: Path, changes: Mapping[str, str]) -> int:
    """Put lines in place of others; how many changed."""
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        for begin, instead in changes.items():
            if line.strip().startswith(begin):
                lines[i] = line[: len(line) - len(line.lstrip())] + instead
    before = path.read_text().splitlines()
    path.write_text("\n".join(lines) + "\n")
    return sum(old != new for old, new in zip(before, lines, strict=True))


def test_what_runs_is_the_wheel(stranger: Stranger, installed: Path) -> None:
    code = "import recap_assets; print(recap_assets.__file__)"
    where = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-P", "-c", code], cwd=stranger.folder, env=stranger.environment,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(installed)


def test_from_an_empty_folder_to_an_export(stranger: Stranger) -> None:
    assert "a webdataset pool" in stranger.recap("init")
    n = edited(
        stranger.folder / "experiment.yaml",
        {"name:": "name: first_try", "model: Sales": "model: blip",
         "clip: {": 'clip: {kind: open_clip, model: "local-dir:clip"}'},
    )  # fmt: skip
    assert n == 3

    assert stranger.read("doctor")["wrong"] == 0
    planned = {row["asset"] for row in stranger.read("plan")}
    assert {"raw_pool", "synthetic_captions/blip", "clip_scores/clip/raw", "report"} <= planned

    done = stranger.read("build", "--yes")
    assert (done["failed"], done["agreed"], done["experiment"]) == ({}, True, "first_try")
    assert done["built"] >= len(planned)
    assert Path(str(done["report"])).is_file()
    pool = next(one for one in done["accounts"] if one["asset"] == "raw_pool")
    assert pool["rows"] == pool["usable"] + sum(pool["rejected"].values()) > 0
    assert stranger.read("plan") == []

    state = {row["asset"]: row for row in stranger.read("status")}
    assert state["raw_pool"]["rows"] == pool["rows"]
    tried = {row["mix"]: row for row in stranger.read("mix try")}
    for mix, row in tried.items():
        assert state[f"curated_mixes/{mix}"]["rows"] == row["n_pairs"]
    assert (
        stranger.read("diff", "raw", "raw_top30")["after"]["pairs"] == tried["raw_top30"]["n_pairs"]
    )
    assert stranger.read("lineage", "raw_top30")["asset"] == "curated_mixes/raw_top30"
    assert stranger.read("pin", "raw_top30", "first")["name"] == "first"
    assert stranger.read("verify", "raw_top30@first")["equal"]

    sample = stranger.read("diff", "raw", "raw_top30")["samples"][0]
    image = stranger.read("lineage", "--uid", sample["uid"])
    assert {one["mix"] for one in image["mixes"]} == set(tried)

    out = stranger.folder / "exported"
    written = stranger.read("export", "raw_top30", "--to", "webdataset", "--out", str(out))
    assert written["samples"] == tried["raw_top30"]["n_pairs"]
    assert len(list(out.rglob("*.tar"))) == written["shards"]
    assert stranger.read("export", str(out), "--verify")["problems"] == {}

    look(stranger)


def look(stranger: Stranger) -> None:
    """The gallery starts, gives a page with an image, and stops when it is asked to."""
    process = stranger.start("look", "--port", str(free_port()), "--json")
    try:
        assert process.stdout is not None
        printed = ""
        while not printed.endswith("}\n"):
            line = process.stdout.readline()
            assert line, printed
            printed += line
        url = json.loads(printed)["gallery"]
        page = fetched(url)
        assert "first_try" in page
        assert re.search(r"<img[^>]+src=", page)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)  # noqa: S310 - our own server


def fetched(url: str) -> str:
    """The first page, as soon as the server answers."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as reply:  # noqa: S310 - our own server
                return reply.read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
