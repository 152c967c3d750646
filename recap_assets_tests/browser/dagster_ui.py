"""`recap ui` of a small experiment, in processes of its own, after an edit of what was built."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recap_assets_tests.defs.services import wait_for
from recap_assets_tests.ports import free_port
from recap_assets_tests.tiny import EXPERIMENT

RECAP = Path(sys.executable).with_name("recap")
STARTS_WITHIN = 240.0
CURATING = ("name", "seed", "pool", "corpora", "models", "sources", "scorers", "mixes", "diversity")
"""The parts of the tiny experiment that it takes to curate: nothing is trained on its mixes."""


@dataclass(frozen=True)
class Ui:
    """A running UI.

    Attributes:
        url: Dagster's.
        gallery: The gallery's.
        file: The experiment.
        environment: Of its processes.
    """

    url: str
    gallery: str
    file: Path
    environment: Mapping[str, str]

    def planned(self, asset: str) -> set[str]:
        """The partitions of an asset that `recap plan` would build."""
        entries = json.loads(self.recap("plan", "--json"))
        return {one["partition"] for one in entries if one["asset"] == asset}

    def recap(self, *words: str) -> str:
        """What a command prints."""
        return recap(self.file, self.environment, *words)


def recap(file: Path, environment: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        [RECAP, "--experiment", file, *words],
        env=dict(environment), check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def write_experiment(file: Path, top: float) -> None:
    """The small experiment with this share in the mix `raw_top30`."""
    content: dict[str, Any] = {name: EXPERIMENT[name] for name in CURATING}
    mixes = {**content["mixes"], "raw_top30": [{"use": "raw", "where": {"top": top}}]}
    file.write_text(yaml.safe_dump({**content, "mixes": mixes}))


@contextmanager
def edited_ui(folder: Path) -> Iterator[Ui]:
    """The UI of what was built before the threshold of `raw_top30` was edited."""
    file = folder / "experiment.yaml"
    environment = {
        **os.environ,
        "RECAP_DATA": str(folder / "data"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    environment.pop("DAGSTER_HOME", None)
    write_experiment(file, 0.3)
    recap(file, environment, "build", "--yes")
    write_experiment(file, 0.5)
    with _served(file, environment, folder / "ui.log") as (url, gallery):
        yield Ui(url, gallery, file, environment)


@contextmanager
def _served(file: Path, environment: Mapping[str, str], log: Path) -> Iterator[tuple[str, str]]:
    ports = [free_port(), free_port()]
    words = ["ui", "--port", str(ports[0]), "--look-port", str(ports[1])]
    with log.open("w") as out:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [RECAP, "--experiment", file, *words],
            env=dict(environment), stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            urls = [f"http://127.0.0.1:{port}" for port in ports]
            for url in urls:
                wait_for(lambda url=url: _answers(url), STARTS_WITHIN, log.read_text())
            yield urls[0], urls[1]
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - loopback
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True
