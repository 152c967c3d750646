"""`recap serve-captioner`: vLLM's OpenAI server for one captioner, where vLLM is installed."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx2
from pydantic import TypeAdapter

from recap_assets.captions.kind import CaptionSource
from recap_assets.captions.served import Served, is_local
from recap_assets.cli.output import echo
from recap_assets.specs.kinds import fitting
from recap_assets.specs.loading import load_experiment
from recap_assets.specs.sources import Source, SourceSpec

LOOPBACK = "127.0.0.1"
PORT = 8000
READY_SECONDS = 3_600.0
"""A large model is downloaded, loaded and compiled before the server answers."""

STOP_SECONDS = 30.0
_POLL_SECONDS = 0.5

_INSTALL = (
    "there is no {vllm}: vLLM needs Linux with a GPU, and an environment of its own, since it pins "
    "torch:\n  python -m venv vllm-environment\n  vllm-environment/bin/pip install vllm\n"
    "  recap serve-captioner ... --vllm vllm-environment/bin/vllm\n"
    "Any other OpenAI-compatible server serves as well (SGLang, a hosted one): give its base_url."
)


@dataclass(frozen=True)
class Wanted:
    """The server to start.

    Attributes:
        source: Model, address and key.
        host: Address to listen on; None: loopback.
        port: Port; None: that of the source's address.
        revision: Commit of the model's repository.
        gpus: GPUs in all.
        gpus_per_copy: GPUs that one copy of the model is split over.
        more: Words passed on to `vllm serve`.
    """

    source: Served
    host: str | None = None
    port: int | None = None
    revision: str | None = None
    gpus: int = 1
    gpus_per_copy: int = 1
    more: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return self.host or LOOPBACK, self.port or urlsplit(self.source.base_url).port or PORT


def served(path: Path, settings: tuple[str, ...], name: str | None, model: str | None) -> Served:
    """The source to serve: one of the experiment's by its name, or one made of a model's name.

    Raises:
        click.ClickException: There is no such source, or it is served elsewhere.
    """
    if (name is None) == (model is None):
        msg = "name what to serve: --source NAME of the experiment, or --model MODEL"
        raise click.UsageError(msg)
    if model is not None:
        written = {"kind": "openai", "model": model}
        source = _server_of("--model", TypeAdapter[SourceSpec](Source).validate_python(written))
        assert source is not None, "a server answers for this kind"  # noqa: S101
        return source
    sources = load_experiment(path, settings).sources
    known = {key: found for key, one in sources.items() if (found := _server_of(key, one))}
    source = known.get(str(name))
    if source is None:
        listed = ", ".join(known) or "none"
        msg = (
            f"--source {name}: {path} has no such source that a server answers for; it has {listed}"
        )
        raise click.ClickException(msg)
    if not is_local(source.base_url):
        msg = f"--source {name} is served at {source.base_url}, and not by this machine"
        raise click.ClickException(msg)
    return source


def _server_of(name: str, source: SourceSpec) -> Served | None:
    return fitting(name, source, CaptionSource).served


def command_of(wanted: Wanted, vllm: str) -> list[str]:
    """The words that start the server, as vLLM 0.33 documents them.

    One image a prompt and nothing else, so that vLLM reserves memory for no more; and the sampling
    that a request does not name is neutral and not what the model's repository suggests. A key is
    not among the words, where every user of the machine could read it.
    """
    host, port = wanted.address
    copies, rest = divmod(wanted.gpus, wanted.gpus_per_copy)
    if rest or not copies:
        msg = f"--gpus {wanted.gpus} is no multiple of --gpus-per-copy {wanted.gpus_per_copy}"
        raise click.UsageError(msg)
    words = [vllm, "serve", wanted.source.model, "--host", host, "--port", str(port)]
    words += ["--limit-mm-per-prompt", json.dumps({"image": 1, "video": 0})]
    words += ["--generation-config", "vllm"]
    if wanted.revision:
        words += ["--revision", wanted.revision]
    if copies > 1:
        words += ["--data-parallel-size", str(copies)]
    if wanted.gpus_per_copy > 1:
        words += ["--tensor-parallel-size", str(wanted.gpus_per_copy)]
    return [*words, *wanted.more]


def run_server(wanted: Wanted, vllm: str) -> int:
    """Run the server until it ends or Ctrl-C stops it; its exit status.

    Raises:
        click.ClickException: There is no such executable.
    """
    executable = shutil.which(vllm)
    if executable is None:
        raise click.ClickException(_INSTALL.format(vllm=vllm))
    command = command_of(wanted, executable)
    echo(f"Starting: {' '.join(command)}")
    environment = _environment(wanted.source)
    with _interrupted_by_signals():
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's words
        try:
            if _wait_until_ready(process, wanted):
                _tell(wanted)
            return process.wait()
        except KeyboardInterrupt:
            echo("Stopping.")
            return 0
        finally:
            _stop(process)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    # The server must end with us, however we are stopped, in the background too.
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, signal.default_int_handler) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _environment(source: Served) -> dict[str, str]:
    key = source.server_key()
    return {**os.environ, **({} if key is None else {"VLLM_API_KEY": key})}


def _wait_until_ready(process: "subprocess.Popen[bytes]", wanted: Wanted) -> bool:
    host, port = wanted.address
    asked = LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 - given by the user
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _is_healthy(f"http://{asked}:{port}/health"):
            return True
        time.sleep(_POLL_SECONDS)
    if process.poll() is None:
        msg = f"the server is not ready after {READY_SECONDS / 60:,.0f} minutes; see what it says"
        raise click.ClickException(msg)
    echo(f"The server ended with status {process.returncode} before it was ready.", err=True)
    return False


def _is_healthy(url: str) -> bool:
    try:
        with httpx2.stream("GET", url, timeout=5, trust_env=False) as response:
            return response.status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


def _tell(wanted: Wanted) -> None:
    host, port = wanted.address
    ours = f"base_url: http://{LOOPBACK if host == '0.0.0.0' else host}:{port}/v1"  # noqa: S104
    echo(
        f"Ready. The source in the experiment file:\n"
        f"  kind: openai\n  model: {wanted.source.model}\n  {ours}\n"
        "Then, in another terminal: recap doctor, recap build. Ctrl-C here stops the server."
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
