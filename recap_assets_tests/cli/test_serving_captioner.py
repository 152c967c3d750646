"""`recap serve-captioner` with a `vllm` that is a script of the test, in place of vLLM itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
import yaml
from click import ClickException, UsageError

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.cli.serving_captioner import (
    Copy,
    Wanted,
    command_of,
    copies_of,
    run_servers,
    served,
    visible_gpus,
)
from recap_assets_tests.cli.running import REPOSITORY, Recap
from recap_assets_tests.ports import free_port, free_ports
from recap_assets_tests.tiny import EXPERIMENT
from recap_assets_tests.waiting import SECONDS

Written = Callable[..., Path]

MODEL = "tiny/vlm"

FAKE = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from recap_assets_tests.chat_server import ChatServer
port = sys.argv[sys.argv.index("--port") + 1]
told = {{"words": sys.argv[1:], "key": os.environ.get("VLLM_API_KEY"), "pid": os.getpid(),
         "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}}
for name in ("told.json", f"told-{{port}}.json"):
    Path(__file__).with_name(name).write_text(json.dumps(told))
if "broken" in sys.argv[2]:
    sys.exit(3)
time.sleep(0.2)
server = ChatServer(port=int(port))
try:
    time.sleep(600)
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
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return path


@pytest.fixture
def port() -> int:
    return free_port()


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
    rest = process.communicate(timeout=SECONDS)[0]
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
    assert "A server ended before it was ready" in done.output
    assert "ended with status 3" in done.output


def test_one_that_is_never_ready_is_given_up_and_stopped(
    fake: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.cli.serving_captioner.READY_SECONDS", 0.0)
    wanted = Wanted(OpenAISource(kind="openai", model=MODEL), port=port)
    began = time.monotonic()
    with pytest.raises(ClickException, match="is not ready after"):
        run_servers(wanted, str(fake))
    assert time.monotonic() - began < SECONDS


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
    (only,) = copies_of(Wanted(source, gpus=1), [])
    assert command_of(Wanted(source), only, "vllm") == [*start, *image_only, *neutral]
    many = Wanted(source, host="0.0.0.0", port=9, revision="abc", gpus=8, gpus_per_copy=2)  # noqa: S104 - the user's wish
    copies = copies_of(many, [])
    assert [copy.gpus for copy in copies] == [("0", "1"), ("2", "3"), ("4", "5"), ("6", "7")]
    assert [copy.port for copy in copies] == [9, 10, 11, 12]
    words = command_of(many, copies[1], "vllm")
    assert words[3:7] == ["--host", "0.0.0.0", "--port", "10"]  # noqa: S104
    assert words[-4:] == ["--revision", "abc", "--tensor-parallel-size", "2"]
    with pytest.raises(UsageError):
        copies_of(Wanted(source, gpus=1, gpus_per_copy=2), [])


def test_each_server_has_gpus_and_a_port_of_its_own() -> None:
    one = OpenAISource(kind="openai", model=MODEL)
    visible = ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]
    found = copies_of(Wanted(one), visible)
    assert [(copy.port, copy.gpus) for copy in found] == [
        (8000, ("GPU-a",)), (8001, ("GPU-b",)), (8002, ("GPU-c",)), (8003, ("GPU-d",)),
    ]  # fmt: skip
    assert copies_of(Wanted(one, gpus=2, gpus_per_copy=2), visible) == [
        Copy("127.0.0.1", 8000, ("GPU-a", "GPU-b"))
    ]
    urls = ["http://127.0.0.1:8100/v1", "http://10.0.0.7:8000/v1", "http://localhost:8300/v1"]
    listed = OpenAISource.model_validate({"kind": "openai", "model": MODEL, "base_url": urls})
    # Those of other machines are started there.
    assert [copy.port for copy in copies_of(Wanted(listed), visible)] == [8100, 8300]
    with pytest.raises(ClickException, match="2 addresses of this machine, too few for 4 servers"):
        copies_of(Wanted(listed, gpus=4), visible)
    with pytest.raises(ClickException, match="5 GPUs are asked for, and 4 are visible: GPU-a"):
        copies_of(Wanted(one, gpus=5), visible)
    with pytest.raises(ClickException, match="give a lower --port"):
        copies_of(Wanted(one, port=65_534), visible)


@pytest.mark.parametrize(
    ("given", "found"),
    [("1,3", ["1", "3"]), ("", []), ("-1", []), ("2,-1,3", ["2"]), ("GPU-4f, 1", ["GPU-4f", "1"])],
)
def test_the_gpus_that_the_environment_leaves(
    monkeypatch: pytest.MonkeyPatch, given: str, found: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == found


@pytest.mark.parametrize(
    ("body", "found"), [("printf '0\\n1\\n'", ["0", "1"]), ("echo No devices; exit 9", [])]
)
def test_the_gpus_that_the_driver_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, found: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert visible_gpus() == found


def test_without_a_gpu_it_says_what_is_missing(
    fake: Path, recap: Recap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = recap("serve-captioner", "--model", MODEL)
    assert done.exit_code == 1
    assert "no GPU is visible here" in done.output
    assert not fake.with_name("told.json").exists()


def test_every_gpu_gets_a_server_and_all_end_when_one_does(
    fake: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    first = free_ports(3)
    process = start(
        "-e", with_source(written), "serve-captioner", "--source", "vlm", "--port", str(first)
    )
    assert process.stdout is not None
    said: list[str] = []
    while not said or not said[-1].startswith("Then, in another terminal"):
        said.append(process.stdout.readline())
        assert said[-1], said
    urls = [f"http://127.0.0.1:{port}/v1" for port in range(first, first + 3)]
    text = "".join(said)
    block = yaml.safe_load(text[text.index("  kind: openai") : text.index("Then, in another")])
    assert block == {"kind": "openai", "model": MODEL, "base_url": urls}
    told = [
        json.loads(fake.with_name(f"told-{port}.json").read_text())
        for port in range(first, first + 3)
    ]
    assert [one["gpus"] for one in told] == ["4", "5", "6"]
    os.kill(told[1]["pid"], signal.SIGKILL)
    rest = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 1, rest
    assert f"The server at port {first + 1} ended with status -9, and the others" in rest
    for url in urls:
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/models", trust_env=False)
