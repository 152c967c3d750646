"""`recap serve-captioner`: vLLM's OpenAI servers for one captioner, one for each GPU."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx2
from pydantic import TypeAdapter

from recap_assets.captions.kind import CaptionSource
from recap_assets.captions.served import Served, is_local
from recap_assets.cli.chosen import typed
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

_SMI_SECONDS = 30.0
_LAST_PORT = 65_535

_INSTALL = (
    "there is no {vllm}: vLLM needs Linux with a GPU, and an environment of its own, since it pins "
    "torch:\n  python -m venv vllm-environment\n  vllm-environment/bin/pip install vllm\n"
    "  recap serve-captioner ... --vllm vllm-environment/bin/vllm\n"
    "Any other OpenAI-compatible server serves as well (SGLang, a hosted one): give its base_url."
)

_NO_GPU = (
    "no GPU is visible here (CUDA_VISIBLE_DEVICES, nvidia-smi), and vLLM needs one: install the "
    "driver of NVIDIA, or say by --gpus 1 that vLLM is to find another device by itself. A server "
    "elsewhere does as well: give its base_url."
)


@dataclass(frozen=True)
class Wanted:
    """The servers to start.

    Attributes:
        source: Model, addresses and key.
        host: Address to listen on; None: loopback.
        port: Port of the first; None: those of the source's addresses.
        revision: Commit of the model's repository.
        gpus: GPUs in all; None: all that are visible, or as many as the addresses need.
        gpus_per_copy: GPUs that one copy of the model is split over.
        more: Words passed on to `vllm serve`.
    """

    source: Served
    host: str | None = None
    port: int | None = None
    revision: str | None = None
    gpus: int | None = None
    gpus_per_copy: int = 1
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """One server of the model.

    Attributes:
        host: Address to listen on.
        port: Port.
        gpus: Its GPUs as CUDA_VISIBLE_DEVICES names them; empty: whichever vLLM finds.
    """

    host: str
    port: int
    gpus: tuple[str, ...] = ()

    @property
    def reached_at(self) -> str:
        """Host and port by which this machine reaches it."""
        asked = LOOPBACK if self.host == "0.0.0.0" else self.host  # noqa: S104 - given by the user
        return f"http://{asked}:{self.port}"


def copies_of(wanted: Wanted, visible: Sequence[str]) -> list[Copy]:
    """The servers to start, each with its port and GPUs.

    Args:
        wanted: What the user asks for.
        visible: The GPUs of this machine; may be empty where their number is given, as on hardware
            that is not NVIDIA's.

    Raises:
        click.ClickException: There are too few GPUs or ports for them.
    """
    local = [urlsplit(url).port or PORT for url in wanted.source.addresses if is_local(url)]
    n_listed = len(local) if len(local) > 1 and wanted.port is None else 0
    gpus = wanted.gpus or n_listed * wanted.gpus_per_copy or len(visible)
    n, rest = divmod(gpus, wanted.gpus_per_copy)
    if rest or not n:
        msg = f"--gpus {gpus} is no multiple of --gpus-per-copy {wanted.gpus_per_copy}"
        raise click.UsageError(msg)
    if visible and gpus > len(visible):
        msg = f"{gpus} GPUs are asked for, and {len(visible)} are visible: {', '.join(visible)}"
        raise click.ClickException(msg)
    if n_listed and n > n_listed:
        msg = f"the source lists {n_listed} addresses of this machine, too few for {n} servers"
        raise click.ClickException(msg)
    first = wanted.port or (local[0] if local else PORT)
    ports = local[:n] if n_listed else list(range(first, first + n))
    if ports[-1] > _LAST_PORT:
        msg = f"from port {first} on there are not {n} ports; give a lower --port"
        raise click.ClickException(msg)
    named = list(visible) or ([str(i) for i in range(gpus)] if n > 1 else [])
    each = wanted.gpus_per_copy
    shares = [tuple(named[i * each : (i + 1) * each]) for i in range(n)]
    pairs = zip(ports, shares, strict=True)
    return [Copy(wanted.host or LOOPBACK, port, share) for port, share in pairs]


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
    if not any(is_local(url) for url in source.addresses):
        at = ", ".join(source.addresses[:3])
        msg = f"--source {name} is served at {at}, and not by this machine"
        raise click.ClickException(msg)
    return source


def _server_of(name: str, source: SourceSpec) -> Served | None:
    return fitting(name, source, CaptionSource).served


def command_of(wanted: Wanted, copy: Copy, vllm: str) -> list[str]:
    """The words that start a server, as vLLM 0.33 documents them.

    One image a prompt and nothing else, so that vLLM reserves memory for no more; and the sampling
    that a request does not name is neutral and not what the model's repository suggests. A key is
    not among the words, where every user of the machine could read it.
    """
    words = [vllm, "serve", wanted.source.model, "--host", copy.host, "--port", str(copy.port)]
    words += ["--limit-mm-per-prompt", json.dumps({"image": 1, "video": 0})]
    words += ["--generation-config", "vllm"]
    if wanted.revision:
        words += ["--revision", wanted.revision]
    if wanted.gpus_per_copy > 1:
        words += ["--tensor-parallel-size", str(wanted.gpus_per_copy)]
    return [*words, *wanted.more]


def run_servers(wanted: Wanted, vllm: str) -> int:
    """Run the servers until one ends or Ctrl-C stops them; the exit status.

    Where one ends the others are stopped: a half that goes on would be noticed by nobody.

    Raises:
        click.ClickException: There is no such executable, or no GPU.
    """
    executable = shutil.which(vllm)
    if executable is None:
        raise click.ClickException(_INSTALL.format(vllm=vllm))
    visible = visible_gpus()
    if not visible and wanted.gpus is None:
        raise click.ClickException(_NO_GPU)
    copies = copies_of(wanted, visible)
    running: list[subprocess.Popen[bytes]] = []
    with _interrupted_by_signals():
        try:
            for copy in copies:
                running.append(_started(wanted, copy, executable))  # noqa: PERF401 - see finally
            if _wait_until_ready(running, copies):
                _tell(wanted, copies)
            return _status_of_first_end(running, copies)
        except KeyboardInterrupt:
            echo("Stopping.")
            return 0
        finally:
            _stop(running)


def visible_gpus() -> list[str]:
    """The GPUs that a process started here may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        named = (one.strip() for one in given.split(","))
        return list(itertools.takewhile(lambda one: one not in ("", "-1"), named))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []  # as without it: its driver is absent or does not answer
    return [line.strip() for line in done.stdout.splitlines() if line.strip().isdecimal()]


def _started(wanted: Wanted, copy: Copy, executable: str) -> "subprocess.Popen[bytes]":
    command = command_of(wanted, copy, executable)
    on = f" (GPU {', '.join(copy.gpus)})" if copy.gpus else ""
    echo(f"Starting{on}: {' '.join(command)}")
    return subprocess.Popen(command, env=_environment(wanted.source, copy))  # noqa: S603 - the user's words


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


def _environment(source: Served, copy: Copy) -> dict[str, str]:
    key = source.server_key()
    found = {**os.environ, **({} if key is None else {"VLLM_API_KEY": key})}
    found.setdefault("VLLM_NO_USAGE_STATS", "1")
    if copy.gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(copy.gpus)
    return found


def _wait_until_ready(running: Sequence["subprocess.Popen[bytes]"], copies: Sequence[Copy]) -> bool:
    """Whether all answer; False as soon as one has ended."""
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(copies)
    while all(process.poll() is None for process in running) and time.monotonic() < deadline:
        waiting = [copy for copy in waiting if not _is_healthy(f"{copy.reached_at}/health")]
        if not waiting:
            return True
        time.sleep(_POLL_SECONDS)
    if all(process.poll() is None for process in running):
        ports = ", ".join(str(copy.port) for copy in waiting)
        minutes = f"{READY_SECONDS / 60:,.0f} minutes"
        msg = f"the server is not ready after {minutes} (port {ports}); see what it says"
        raise click.ClickException(msg)
    echo("A server ended before it was ready.", err=True)
    return False


def _status_of_first_end(
    running: Sequence["subprocess.Popen[bytes]"], copies: Sequence[Copy]
) -> int:
    while all(process.poll() is None for process in running):
        time.sleep(_POLL_SECONDS)
    (port, status), *_ = (
        (copy.port, process.returncode)
        for process, copy in zip(running, copies, strict=True)
        if process.returncode is not None
    )
    others = ", and the others are stopped" if len(running) > 1 else ""
    echo(f"The server at port {port} ended with status {status}{others}.", err=True)
    return status if status > 0 else 1


def _is_healthy(url: str) -> bool:
    try:
        with httpx2.stream("GET", url, timeout=5, trust_env=False) as response:
            return response.status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


def _tell(wanted: Wanted, copies: Sequence[Copy]) -> None:
    urls = [f"{copy.reached_at}/v1" for copy in copies]
    listed = urls[0] if len(urls) == 1 else "".join(f"\n    - {url}" for url in urls)
    at = f"base_url: {listed}" if len(urls) == 1 else f"base_url:{listed}"
    echo(
        f"Ready. The source in the experiment file:\n"
        f"  kind: openai\n  model: {wanted.source.model}\n  {at}\n"
        f"Then, in another terminal: {typed('doctor')}, {typed('build')}. Ctrl-C here stops the "
        f"{'server' if len(urls) == 1 else 'servers'}."
    )


def _stop(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
