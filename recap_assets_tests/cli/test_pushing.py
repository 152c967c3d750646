"""`recap export --push-to`: what it prints, and what it refuses before anything is sent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from recap_assets.cli import exporting
from recap_assets.cli.forms import FORMS
from recap_assets.cli.output import print_json
from recap_assets.exports.hub.target import HubError
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.exports.pushed import shards, written
from recap_assets_tests.hub_server import TOKEN, Answer, Asked, HubServer, hub_server
from recap_assets_tests.tiny import EXPERIMENT
from recap_assets_tests.waiting import SECONDS

REPO = "team/best"
PLACE = f"hf://datasets/{REPO}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server(monkeypatch) as server:
        yield server


def form_of(printed: str) -> Any:
    return TypeAdapter(FORMS["export"]).validate_json(printed, strict=True)


def test_a_folder_is_pushed_without_an_experiment(
    recap: Recap, hub: HubServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    written(out, shards(3))
    words = ("export", out, "--push-to", PLACE)
    dry = recap(*words, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "would send 6 files" in dry.output
    assert f"{hub.url}/datasets/{REPO} (private, new)" in dry.output
    assert hub.datasets == {}
    done = recap(*words, "--public")
    assert done.exit_code == 0, done.output
    assert "sent 6 files" in done.output
    assert not hub.datasets[REPO].private
    again = form_of(recap(*words, "--json").stdout)
    assert again == {
        "folder": str(out),
        "pushed": {
            "target": PLACE, "page": f"{hub.url}/datasets/{REPO}", "new": False, "dry_run": False,
            "sent": 0, "bytes": 0, "unchanged": 6, "removed": 0, "commits": 0,
        },
    }  # fmt: skip


def test_an_export_of_the_experiment_is_built_and_pushed(
    recap: Recap, hub: HubServer, tmp_path: Path, written_experiment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    built: list[str] = []

    def build(asset: str, *, as_json: bool) -> None:
        built.append(asset)
        written(tmp_path / "published", shards(2))
        if as_json:
            print_json({"built": 1})
        sys.exit(0)

    monkeypatch.setattr(exporting, "_build", build)
    words = ("-e", written_experiment, "export", "published", "--push-to", f"{PLACE}@v2")
    form = form_of(recap(*words, "--json").stdout)
    assert (form["pushed"]["sent"], form["pushed"]["target"]) == (5, f"{PLACE}@v2")
    assert built == ["exports/published"]
    assert "v2" in hub.datasets[REPO].branches

    def failing(_asset: str, *, as_json: bool) -> None:
        if as_json:
            print_json({"built": 0})
        sys.exit(1)

    monkeypatch.setattr(exporting, "_build", failing)
    n_asked = len(hub.asked)
    failed = recap(*words, "--json")
    assert (failed.exit_code, '"built": 0' in failed.stdout) == (1, True)
    assert len(hub.asked) == n_asked


@pytest.fixture
def written_experiment(tmp_path: Path) -> Path:
    import yaml  # noqa: PLC0415 - of this fixture alone

    mix = next(iter(EXPERIMENT["mixes"]))
    exports = {"published": {"mix": mix, "to": "huggingface", "folder": "published"}}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({**EXPERIMENT, "exports": exports}))
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["OUT", "--push-to", "hf://models/a/b"], "one of the Hub's models"),
        (["OUT", "--push-to", "s3://bucket/x"], "names no dataset of the Hub"),
        (["OUT", "--public"], "--public goes with --push-to"),
        (["OUT", "--dry-run"], "--dry-run goes with --push-to"),
        (["--verify", "OUT", "--push-to", PLACE], "neither --verify nor --arguments"),
        (["m", "--to", "subset", "--out", "OUT", "--push-to", PLACE, "--dry-run"], "its FOLDER"),
        (["HALF", "--push-to", PLACE], "no finished export"),
        (["m", "--to", "subset", "--out", "memory://x", "--push-to", PLACE], "is a bucket"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_asked(
    recap: Recap, hub: HubServer, tmp_path: Path, words: list[str], said: str
) -> None:
    places = {"OUT": tmp_path / "out", "HALF": tmp_path / "half"}
    for folder in places.values():
        written(folder, shards(1))
    (tmp_path / "half" / "checksums.json").unlink()
    done = recap("export", *(places.get(word, word) for word in words))
    assert done.exit_code != 0
    assert said in (str(done.exception) if isinstance(done.exception, HubError) else done.output)
    assert hub.asked == []


def command(hub: HubServer, out: Path, token: str = TOKEN) -> dict[str, Any]:
    """A process of its own, with the variables that the Hub's library reads when it starts."""
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1",
        "RECAP_DATA": str(out.parent / "data"),
    }  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    words = [sys.executable, "-m", "recap_assets.cli.main", "export", str(out)]
    return {"args": [*words, "--push-to", PLACE], "env": environment, "text": True}


def test_a_refusal_is_one_paragraph_without_the_token(hub: HubServer, tmp_path: Path) -> None:
    written(tmp_path / "out", shards(1))
    wrong = TOKEN[::-1]
    refusal = subprocess.run(
        **command(hub, tmp_path / "out", wrong), capture_output=True, timeout=SECONDS, check=False
    )
    assert refusal.returncode == 1
    assert "answers 401" in refusal.stderr
    assert "Traceback" not in refusal.stderr
    assert wrong not in refusal.stdout + refusal.stderr


def test_ctrl_c_does_not_wait_for_uploads_and_the_next_run_continues(
    hub: HubServer, tmp_path: Path
) -> None:
    written(tmp_path / "out", shards(8))
    begun, go_on = threading.Event(), threading.Event()
    answer = hub.answer

    def held(asked: Asked) -> Answer:
        if asked.method == "PUT":
            begun.set()
            assert go_on.wait(SECONDS)
        return answer(asked)

    hub.answer = held  # type: ignore[method-assign]
    words = command(hub, tmp_path / "out")
    with subprocess.Popen(**words, stderr=subprocess.PIPE) as process:
        try:
            assert begun.wait(SECONDS)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=SECONDS)
        finally:
            go_on.set()
            process.kill()
    assert process.returncode == 130
    assert "Stopped. What was sent is kept; run again to continue." in said
    assert "checksums.json" not in hub.datasets[REPO].contents()
    done = subprocess.run(**words, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "checksums.json" in hub.datasets[REPO].contents()
