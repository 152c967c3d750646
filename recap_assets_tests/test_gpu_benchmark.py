"""The benchmark for a GPU, as far as it can be tried out without one."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from weakref import ReferenceType, ref

import pytest
import torch

from benchmarks import gpu_captions


class Circle:
    """What refers to itself, and stays until garbage is looked for."""

    def __init__(self) -> None:
        self.itself = self


class Left:
    """Parts of a benchmark that leave garbage, and whether it is there when it is asked."""

    def __init__(self) -> None:
        self.refs: list[ReferenceType[Circle]] = []
        self.alive: list[int] = []

    def leave(self, *_: object, **__: object) -> list[str]:
        self.refs.append(ref(Circle()))
        return ["a caption"]

    def look(self, *_: object) -> int:
        self.alive.append(sum(one() is not None for one in self.refs))
        return 0


@pytest.fixture
def left() -> Iterator[Left]:
    gc.collect()
    gc.disable()
    yield Left()
    gc.enable()


def bench_of(tmp_path: Path) -> gpu_captions.Bench:
    return gpu_captions.Bench(tmp_path / "found.jsonl", tiny=True, until=0.0)


def test_memory_is_measured_when_nothing_of_before_is_left(
    left: Left, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    captioner = SimpleNamespace(
        on_device=SimpleNamespace(release=left.leave),
        size=SimpleNamespace(rows=8),
        made_on=lambda: SimpleNamespace(facts={}),
    )
    monkeypatch.setattr(gpu_captions, "captioner_of", lambda *_: captioner)
    monkeypatch.setattr(gpu_captions, "captions_of", left.leave)
    monkeypatch.setattr(torch.cuda, "memory_allocated", left.look)
    of_card = SimpleNamespace(total_memory=10**11)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: of_card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda _: None)
    gpu_captions.out_of_memory(bench_of(tmp_path), SimpleNamespace())
    assert left.alive == [0]
    assert json.loads((tmp_path / "found.jsonl").read_text())["same_captions"] == 1


def test_a_part_begins_when_nothing_of_the_one_before_is_left(
    left: Left, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def part(*_: object) -> None:
        left.look()
        left.leave()

    for name in ("rates", "promise", "generate", "early_end"):
        monkeypatch.setattr(
            gpu_captions, name, type("Part", (), {"__call__": part, "__name__": name})()
        )
    assert gpu_captions.run(600.0, tmp_path / "found.jsonl", tiny=True) == 0
    assert left.alive == [0, 0, 0, 0]
