"""One spec gives the same weights from whatever process: threads are the machine's matter."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recap_assets.artefacts.training import MODELS
from recap_assets.engines import threads
from recap_assets.graph.building import Built, build_partition
from recap_assets_tests.tiny import Bench, tiny_experiment


@pytest.fixture(autouse=True)
def _threads_come_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(threads.THREADS_VARIABLE)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def scorer_of(folder: Path) -> Built:
    """The tiny experiment's scorer, trained, and what it reads."""
    bench = Bench(folder, tiny_experiment())
    bench.build("world")
    node = bench.graph.nodes[MODELS.key("scorer")]
    return build_partition(bench.graph, bench.memory, node, "")


def test_trained_weights_do_not_depend_on_the_threads_of_the_process(tmp_path: Path) -> None:
    built = []
    for number in (1, 2):
        torch.set_num_threads(number)
        built.append(scorer_of(tmp_path / str(number)))
        assert torch.get_num_threads() == number
    one, two = built
    assert one.record.data_version == two.record.data_version
    assert one.outcome.machine == two.outcome.machine
    assert one.outcome.machine["recap.torch_threads"] == "1"
