"""Tiny models with random weights, saved as the hub and open_clip save theirs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from recap_assets.captions.servers import client as server_client
from recap_assets_tests.captions.kinds.transformers.families import BUILDERS
from recap_assets_tests.captions.tiny_captioners import save_blip, save_blip2, save_coca
from recap_assets_tests.chat_server import Start, chat_servers
from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.waiting import SECONDS


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts captioning servers on loopback."""
    with chat_servers() as start:
        yield start


@pytest.fixture
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is busy is asked again soon, and waited for however slow the machine is."""
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(server_client, "PATIENCE", SECONDS)


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture(scope="session")
def blip2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip2(tmp_path_factory.mktemp("blip2"))


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory, blip_folder, blip2_folder) -> Callable[[str], Path]:
    """The folder of a tiny model of a family, built once."""
    built = {"blip": blip_folder, "blip2": blip2_folder}

    def build(family: str) -> Path:
        if family not in built:
            built[family] = BUILDERS[family](tmp_path_factory.mktemp(family))
        return built[family]

    return build


@pytest.fixture(scope="session")
def coca_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_coca(tmp_path_factory.mktemp("coca"))


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Eight images of different sizes, a single pixel and two strips among them."""
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (40, 25), (1, 1), (3, 400), (400, 3), (64, 48), (33, 31), (17, 90)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture(scope="session")
def uids() -> list[bytes]:
    return [n.to_bytes(16, "big") for n in range(8)]


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products on several threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)
