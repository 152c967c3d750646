"""A PostgreSQL cluster of one's own in a temporary folder, as long as a block lasts."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

DATABASE = "dagster"
ACCOUNT = "postgres"
"""The account that a root process runs the server as: PostgreSQL refuses to run as root."""


@dataclass(frozen=True)
class Cluster:
    """A running server: its SQLAlchemy URL, and the folder of its socket and its data."""

    url: str
    folder: Path

    @property
    def process(self) -> int:
        """The one that all its others descend from."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start its server, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses=''"
        log = str(self.folder / "log")
        _run("pg_ctl", "-D", f"{self.folder}/data", "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """End its server at once, as a crash would."""
        _run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")


def server_programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL's server is not installed."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if all((p / n).exists() for n in ("pg_ctl", "initdb"))), None)


@contextmanager
def private_cluster() -> Iterator[Cluster]:
    """Start a cluster on a socket in a new folder, without a port.

    Raises:
        FileNotFoundError: PostgreSQL's server is not installed.
    """
    # A socket's path has room for about 100 characters, so not below a test's own folder.
    with tempfile.TemporaryDirectory(prefix="pg") as scratch:
        if account := _account():
            os.chown(scratch, account.pw_uid, account.pw_gid)
        _run(
            "initdb", "-D", f"{scratch}/data", "-U", DATABASE, "--auth=trust", "--encoding=UTF8",
            "--no-sync",
        )  # fmt: skip
        url = f"postgresql+psycopg2://{DATABASE}@/{DATABASE}?host={quote(scratch)}"
        cluster = Cluster(url, Path(scratch))
        cluster.start()
        try:
            _run("createdb", "-h", scratch, "-U", DATABASE, DATABASE)
            yield cluster
        finally:
            cluster.stop()


def _account() -> pwd.struct_passwd | None:
    return pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None


def _run(program: str, *words: str) -> None:
    programs = server_programs()
    if programs is None:
        msg = "no pg_ctl: install PostgreSQL's server (Debian: postgresql)"
        raise FileNotFoundError(msg)
    account = _account()
    as_account = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
    subprocess.run(
        [str(programs / program), *words], check=True, cwd="/", stdout=subprocess.DEVNULL,
        **as_account,
    )  # fmt: skip
