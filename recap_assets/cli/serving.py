"""`recap ui` and `recap look`: Dagster's web server and daemon, and the gallery, on loopback."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from recap_assets.cli.belonging import take
from recap_assets.cli.output import echo, print_json
from recap_assets.defs.session import Session
from recap_assets.untrusted.errors import RecapError

LOOK_SECONDS = 0.5
STOP_SECONDS = 20.0


class PortTakenError(RecapError, ValueError):
    """Something else listens there."""


def serve(
    session: Session,
    host: str,
    port: int,
    names: Sequence[str] = (),
    *,
    look_port: int,
    take_over: bool = False,
    as_json: bool = False,
) -> int:
    """Run web server, daemon and gallery until they are stopped; 1 where one ended by itself.

    Args:
        session: The experiment.
        host: Address to listen on.
        port: Its port.
        names: Host names, beside loopback's and `host`, by which browsers may call the server.
        look_port: The gallery's port.
        take_over: Take the results of another file of the same name.
        as_json: Print where they listen as an object.

    Raises:
        PortTakenError: A port is in use.
        TakenError: The results are another file's.
    """
    check_port(host, port)
    check_port(host, look_port, option="--look-port")
    # First: a file whose pool is not there takes no results.
    session.open_instance().dispose()
    take(session, anyway=take_over)
    _warn_of(host)
    web = ["-m", "recap_assets.defs.web.server", host, str(port), str(look_port)]
    web += [host, *names]
    daemon = ["-m", "dagster._daemon", "run", "--module-name", "recap_assets.definitions"]
    look = ["-m", "recap_assets.defs.web.gallery", host, str(look_port), *names]
    with _running(web, daemon, look) as processes:
        try:
            urls = {"dagster": _url(host, port), "gallery": _url(host, look_port)}
            return _watch(processes, urls, as_json=as_json)
        except KeyboardInterrupt:
            echo("Stopping ...", err=as_json)
            return 0


def look(
    session: Session, host: str, port: int, names: Sequence[str] = (), *, as_json: bool = False
) -> None:
    """Run the gallery in this process until it is stopped.

    Args:
        session: The experiment.
        host: Address to listen on.
        port: Its port.
        names: Host names, beside loopback's and `host`, by which browsers may call the server.
        as_json: Print where it listens as an object.

    Raises:
        PortTakenError: The port is in use.
    """
    from recap_assets.defs.web.gallery import serve_gallery

    check_port(host, port)
    _warn_of(host)
    url, name = _url(host, port), session.project.experiment.name
    if as_json:
        print_json({"gallery": url})
    else:
        echo(f"The gallery of {name}: {url} (Ctrl-C ends it)")
    serve_gallery(session, host, port, names)


def _warn_of(host: str) -> None:
    if not _is_loopback(host):
        echo(
            f"Warning: the server has no login, and {host} can be reached by others: put "
            "something that asks who they are in front of it (docs/security.md).",
            err=True,
        )


def check_port(host: str, port: int, option: str = "--port") -> None:
    """Refuse a port that something listens on, or an address that is not this machine's.

    Raises:
        PortTakenError: Naming what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            msg = f"cannot listen on {host}:{port}: {error.strerror}; take another with {option}"
            raise PortTakenError(msg) from error


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


@contextmanager
def _running(*commands: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    # Whatever ends this process, but SIGKILL, ends them too.
    before = signal.signal(signal.SIGTERM, _interrupt)
    processes = [subprocess.Popen([sys.executable, *words]) for words in commands]  # noqa: S603 - our own words
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}"


def _watch(
    processes: Sequence[subprocess.Popen[bytes]], urls: Mapping[str, str], *, as_json: bool
) -> int:
    was_shown = False
    while all(process.poll() is None for process in processes):
        if not was_shown and _answers(urls["dagster"]):
            was_shown = True
            if as_json:
                print_json(dict(urls))
            else:
                echo(f"Dagster's UI of this experiment: {urls['dagster']} (Ctrl-C ends it)")
                echo(f"Its gallery: {urls['gallery']}")
        time.sleep(LOOK_SECONDS)
    echo("Error: the web server, the daemon or the gallery ended; what it said is above.", err=True)
    return 1


def _answers(url: str) -> bool:
    with (
        suppress(OSError),
        urllib.request.urlopen(f"{url}/server_info", timeout=1) as reply,  # noqa: S310 - our own server
    ):
        return reply.status == 200
    return False
