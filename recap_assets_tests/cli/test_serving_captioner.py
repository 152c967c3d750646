"""`recap serve-captioner` with a `vllm` that is a script of the test, in place of vLLM itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from click import ClickException, UsageError

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.cli.serving_captioner import Wanted, command_of, run_server, served
from recap_assets_tests.cli.running import REPOSITORY, Recap
from recap_assets_tests.tiny import EXPERIMENT

Written = Callable[..., Path]

MODEL = "tiny/vlm"

FAKE = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from recap_assets_tests.chat_server import ChatServer
told = {{"words": sys.argv[1:], "key": os.environ.get("VLLM_API_KEY")}}
Path(__file__).with_name("told.json").write_text(json.dumps(told))
if "broken" in sys.argv[2]:
    sys.exit(3)
time.sleep(0.2)
server = ChatServer(port=int(sys.argv[sys.argv.index("--port") + 1]))
try:
    time.sleep(60)
finally:
    print("the fake is gone", flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `vllm` first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "vllm"
    path.write_text(FAKE)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def with_source(written: Written, **keys: object) -> Path:
    source = {"kind": "openai", "model": MODEL, **keys}
    return written(sources={**EXPERIMENT["sources"], "vlm": source})


def start(*words: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "recap_assets.cli.main", *map(str, words)]
    return subprocess.Popen(  # noqa: S603 - our own words
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_tells_when_it_is_ready_and_stops(
    fake: Path, written: Written, port: int, monkeypatch: pytest.MonkeyPatch, stop: signal.Signals
) -> None:
    monkeypatch.setenv("VLM_KEY", "sk-very-secret-4711")
    url = f"http://127.0.0.1:{port}/v1"
    path = with_source(written, base_url=url, api_key_env="VLM_KEY")
    process = start("-e", path, "serve-captioner", "--source", "vlm", "--", "--max-model-len", "9")
    assert process.stdout is not None
    said: list[str] = []
    while not said or not said[-1].startswith("Then, in another terminal"):
        said.append(process.stdout.readline())
        assert said[-1], said
    assert f"base_url: {url}" in "".join(said)
    body = {"model": MODEL, "messages": []}
    assert httpx2.get(f"{url}/models", trust_env=False).json()["data"] == [{"id": MODEL}]
    assert httpx2.post(f"{url}/other", json=body, trust_env=False).status_code == 404
    process.send_signal(stop)
    rest = process.communicate(timeout=10)[0]
    assert process.returncode == 0, rest
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/models", trust_env=False)
    told = json.loads(fake.with_name("told.json").read_text())
    assert told["words"][:6] == ["serve", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    assert told["words"][-2:] == ["--max-model-len", "9"]
    assert told["key"] == "sk-very-secret-4711"
    assert "4711" not in "".join([*said, rest, *told["words"]])


def test_a_server_that_ends_before_it_is_ready_ends_the_command(
    fake: Path,  # noqa: ARG001 - is on PATH
    recap: Recap,
) -> None:
    done = recap("serve-captioner", "--model", "tiny/broken")
    assert done.exit_code == 3
    assert "ended with status 3 before it was ready" in done.output


def test_one_that_is_never_ready_is_given_up_and_stopped(
    fake: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.cli.serving_captioner.READY_SECONDS", 0.0)
    wanted = Wanted(OpenAISource(kind="openai", model=MODEL), port=port)
    began = time.monotonic()
    with pytest.raises(ClickException, match="is not ready after"):
        run_server(wanted, str(fake))
    assert time.monotonic() - began < 10


def test_without_vllm_it_says_how_to_get_it(recap: Recap) -> None:
    done = recap("serve-captioner", "--model", MODEL, "--vllm", "no-such-vllm")
    assert done.exit_code == 1
    assert "there is no no-such-vllm" in done.output
    assert "pip install vllm" in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--source NAME of the experiment, or --model MODEL"),
        (("--source", "vlm", "--model", MODEL), "--source NAME of the experiment, or --model"),
        (("--source", "a"), "has no such source that a server answers for; it has vlm"),
        (("--model", MODEL, "--gpus", "3", "--gpus-per-copy", "2"), "--gpus 3 is no multiple"),
    ],
)
def test_what_cannot_be_served_is_told(
    fake: Path,  # noqa: ARG001 - is on PATH
    recap: Recap,
    written: Written,
    words: tuple[str, ...],
    told: str,
) -> None:
    done = recap("--experiment", with_source(written), "serve-captioner", *words)
    assert done.exit_code in (1, 2)
    assert told in done.output


def test_a_source_that_is_served_elsewhere_is_not_started_here(written: Written) -> None:
    path = with_source(written, base_url="https://api.example.com/v1")
    with pytest.raises(ClickException, match=r"is served at https://api\.example\.com"):
        served(path, (), "vlm", None)


def test_the_words_for_vllm() -> None:
    source = OpenAISource(kind="openai", model=MODEL, base_url="http://127.0.0.1:8123/v1")
    image_only = ["--limit-mm-per-prompt", '{"image": 1, "video": 0}']
    neutral = ["--generation-config", "vllm"]
    start = ["vllm", "serve", MODEL, "--host", "127.0.0.1", "--port", "8123"]
    assert command_of(Wanted(source), "vllm") == [*start, *image_only, *neutral]
    many = Wanted(source, host="0.0.0.0", port=9, revision="abc", gpus=8, gpus_per_copy=2)  # noqa: S104 - the user's wish
    words = command_of(many, "vllm")
    assert words[3:7] == ["--host", "0.0.0.0", "--port", "9"]  # noqa: S104
    assert words[-6:] == [
        "--revision", "abc", "--data-parallel-size", "4", "--tensor-parallel-size", "2",
    ]  # fmt: skip
    with pytest.raises(UsageError):
        command_of(Wanted(source, gpus=1, gpus_per_copy=2), "vllm")
