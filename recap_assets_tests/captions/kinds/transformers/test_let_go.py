"""A captioner that nobody names any more is gone at once, its model and its prepared batches."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import ReferenceType, ref

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.transformers.engine import load_rewriter
from recap_assets.engines.batch_sizes import BatchSize
from recap_assets.engines.decoding.batching import BatchingCaptioner
from recap_assets.engines.decoding.on_device import OnDevice
from recap_assets.engines.decoding.steady import Steady
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.kinds.transformers.families import BUILDERS
from recap_assets_tests.captions.rewriters.test_transformers import rewriter_of
from recap_assets_tests.captions.rewriters.tiny_language import save_language_model

CPU = torch.device("cpu")
DECODING = Decoding(min_tokens=2, max_tokens=4)


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """What refers to itself in a circle would stay until garbage happens to be looked for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(parts: list[ReferenceType[torch.nn.Module]]) -> int:
    return sum(part() is not None for part in parts)


def parts_of(model: torch.nn.Module) -> list[ReferenceType[torch.nn.Module]]:
    return [ref(part) for part in model.modules()]


def network_of(reader: object) -> torch.nn.Module:
    """The model of transformers inside of a reader, by way of its adapter where it has one."""
    found = getattr(reader, "model", None)
    while not isinstance(found, torch.nn.Module):
        found = getattr(found, "model", None)
    return found


def captioner_of(folder: Path, *, as_on_a_gpu: bool) -> BatchingCaptioner:
    source = TransformersSource(
        kind="transformers", model=str(folder), decoding=DECODING, batch_size=8, device="cpu"
    )
    captioner = load_transformers_captioner(source)
    assert isinstance(captioner, BatchingCaptioner)
    if not as_on_a_gpu:
        return captioner
    on_device = OnDevice(CPU, steady=Steady(CPU))
    return BatchingCaptioner(captioner.reader, DECODING, 1, BatchSize(8), on_device)


@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize("family", ["blip", "blip2", *BUILDERS])
def test_the_model_of_a_captioner_is_gone(
    family: str,
    as_on_a_gpu: bool,
    folder_of: Callable[[str], Path],
    images: list[np.ndarray],
    uids: list[bytes],
) -> None:
    captioner = captioner_of(folder_of(family), as_on_a_gpu=as_on_a_gpu)
    captioner.caption([images[0], images[5]], uids[:2])
    parts = parts_of(network_of(captioner.reader))
    assert alive(parts) == len(parts) > 10
    del captioner
    assert not alive(parts)


def test_the_model_of_a_rewriter_is_gone(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path)
    rewriter = load_rewriter(rewriter_of(folder), RewriteTask(("raw",), "{raw}!"))
    rewriter.rewrite([{"raw": "a cat"}], [bytes(16)])
    parts = parts_of(rewriter._reader.model)
    del rewriter
    assert not alive(parts)
