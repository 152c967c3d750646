"""A data folder that cannot be written: what reads reads, what builds says so."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from recap_assets.defs.read_only import copied, is_writable
from recap_assets_tests.cli.running import Recap

UNSHARE = shutil.which("unshare") or ""
MOUNTED = """
mount --bind data data && mount -o remount,ro,bind data && exec "$@"
"""
READING = (
    ("status", "--json"), ("plan",), ("verify", "raw_pool"), ("lineage", "raw_pool"),
    ("gc", "--dry-run"), ("build", "--dry-run"),
)  # fmt: skip
BUILDING = (("build", "--yes"), ("ui",))
IN_ONE_PROCESS = """
import json, sys
from click.testing import CliRunner
from recap_assets.cli.main import recap
found = []
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(recap, words)
    error = "" if isinstance(done.exception, (SystemExit, type(None))) else repr(done.exception)
    found.append([done.exit_code, done.stdout, done.stderr, error])
print(json.dumps(found))
"""


def in_a_read_only_folder(words: list[list[str]], folder: Path) -> list[tuple[int, str, str, str]]:
    """Exit code, outputs and error of each call, all in a process that cannot write `data`."""
    done = subprocess.run(  # noqa: S603 - words of this file
        [UNSHARE, "-Urm", "sh", "-c", MOUNTED, "sh", sys.executable, "-c", IN_ONE_PROCESS,
         json.dumps(words)],
        cwd=folder, capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "RECAP_DATA": str(folder / "data")},
    )  # fmt: skip
    return [tuple(one) for one in json.loads(done.stdout.splitlines()[-1])]


def can_mount(folder: Path) -> bool:
    if not UNSHARE:
        return False
    (folder / "data").mkdir()
    words = [UNSHARE, "-Urm", "sh", "-c", MOUNTED, "sh", "true"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)  # noqa: S603
    (folder / "data").rmdir()
    return done.returncode == 0


def files_of(folder: Path) -> Mapping[str, tuple[int, int]]:
    found = (one for one in folder.rglob("*") if one.is_file())
    return {str(one): (one.stat().st_size, one.stat().st_mtime_ns) for one in found}


@pytest.mark.long(reason="every command in a process of its own")
def test_commands_that_read_only_read(
    tmp_path: Path, written: Callable[..., Path], recap: Recap
) -> None:
    if not can_mount(tmp_path):
        pytest.skip("needs user namespaces, to make a folder read-only for whoever runs the tests")
    file = written()
    assert recap("-e", file, "build", "--yes", "--jobs", 1, "--select", "raw_pool").exit_code == 0
    before = files_of(tmp_path / "data")
    words = [["-e", str(file), *one] for one in (*READING, *BUILDING)]
    found = in_a_read_only_folder(words, tmp_path)
    reading, building = found[: len(READING)], found[len(READING) :]
    assert [(code, error) for code, _, _, error in reading] == [(0, "")] * len(READING)
    rows = {row["asset"]: row["rows"] for row in json.loads(found[0][1])}
    assert rows["raw_pool"] > 0
    assert "all equal" in found[2][1]
    assert f"{tmp_path / 'data'}/" in found[1][2]
    assert "is read-only, or not yours: nothing is kept there" in found[1][2]
    assert all("nothing can be built" in error for _, _, _, error in building)
    assert files_of(tmp_path / "data") == before


def test_a_folder_that_is_not_there_is_writable_where_the_one_above_is(tmp_path: Path) -> None:
    assert is_writable(tmp_path / "a" / "b")


def test_a_copy_has_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "event_log.db").write_bytes(b"log")
    (tmp_path / "event_log.db-wal").write_bytes(b"newer")
    found = {one.name: one.read_bytes() for one in copied(tmp_path).iterdir()}
    assert found == {"event_log.db": b"log", "event_log.db-wal": b"newer"}
    assert not any(copied(tmp_path / "missing").iterdir())
