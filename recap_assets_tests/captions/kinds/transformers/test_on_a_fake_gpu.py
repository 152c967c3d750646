"""Steps on a GPU, computed without numbers: no tensor of another device, and nothing waited for.

torch's fake tensors know their shape and their device and refuse to meet those of another, on a
machine without any GPU. What asks for a number is noted and gets some answer. The loop that waits
for the device, and what chat models do with their images, depend on numbers and are not seen here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.open_clip.engine import load_coca_captioner
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.blip import Blip
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.transformers.engine import load_rewriter
from recap_assets.engines.decoding import steady
from recap_assets.engines.decoding.guidance import steps_of
from recap_assets.engines.decoding.prompted import PromptBatch, PromptState
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.decoding.steady import Steady
from recap_assets.engines.open_clip.preparation import normalised
from recap_assets.engines.open_clip.resampling import BICUBIC, Plan, Side, resample
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.rewriters.test_transformers import rewriter_of
from recap_assets_tests.captions.rewriters.tiny_language import save_language_model

CUDA = torch.device("cuda")
ROWS = 8
UIDS = [bytes([n]) * 16 for n in range(ROWS)]
PLAN = RowPlan(ROWS, ROWS, lambda _wanted, now: now)
SHORT: dict[str, Any] = {"min_tokens": 2, "max_tokens": 4}
"""The host looks at the device at the fourth token first."""

CHOICES = [
    Decoding(**SHORT, top_p=0.9),
    Decoding(**SHORT, top_k=5),
    Decoding(**SHORT, strategy="greedy"),
]
FIXED = ["blip", "blip2", "blip2_t5", "instructblip", "instructblip_t5", "git", "florence2"]
CHATS = ["llava", "qwen2_vl", "qwen3_vl", "idefics3"]

ATEN = torch.ops.aten
NUMBERS = {
    ATEN._local_scalar_dense.default, ATEN.item.default, ATEN.is_nonzero.default,
    ATEN.equal.default,
}  # fmt: skip
COPIES = {ATEN._to_copy.default, ATEN.to.device, ATEN.to.dtype_layout, ATEN.copy_.default}


def is_on(value: object, kind: str) -> bool:
    return isinstance(value, Tensor) and value.device.type == kind


class Waits(TorchDispatchMode):
    """Notes what of a device is asked for or copied, either way, and answers something."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in NUMBERS:
            self.noted.append(str(func))
            return True if args[0].dtype == torch.bool else 1
        if func is ATEN.repeat_interleave.self_Tensor:
            self.noted.append(str(func))
            return torch.zeros(5, dtype=args[0].dtype, device=args[0].device)
        found = func(*args, **(kwargs or {}))
        if func in COPIES and is_on(found, "cuda") != is_on(
            args[1 if "copy_." in str(func) else 0], "cuda"
        ):
            self.noted.append(str(func))
        return found


class Card:
    """A GPU without numbers."""

    def __init__(self, mode: FakeTensorMode, waits: Waits) -> None:
        self.mode, self.waits = mode, waits

    def put(self, value: Tensor) -> Tensor:
        """A tensor of the same shape and type on the card."""
        with self.mode, torch.inference_mode():
            return torch.empty(value.shape, dtype=value.dtype, device=CUDA)

    def put_model(self, model: nn.Module) -> None:
        """The model's weights and buffers; what is used twice stays one."""
        made: dict[int, tuple[Tensor, Tensor]] = {}
        for part in model.modules():
            for held in (part._parameters, part._buffers):
                for name, value in held.items():
                    if value is None:
                        continue
                    if id(value) not in made:
                        put = self.put(value)
                        is_weight = held is part._parameters
                        made[id(value)] = (
                            value, nn.Parameter(put, requires_grad=False) if is_weight else put
                        )  # fmt: skip
                    held[name] = made[id(value)][1]


@pytest.fixture
def card() -> Card:
    return Card(FakeTensorMode(allow_non_fake_inputs=True), Waits())


@contextmanager
def on(card: Card) -> Iterator[None]:
    """Work in the block is on the card. What makes a tensor of numbers there waits for it."""

    def tensor(data: object, *, device: Any = None, dtype: Any = None) -> Tensor:
        numbers = np.array(data)
        plain = {"i": torch.int64, "f": torch.float32, "b": torch.bool}[numbers.dtype.kind]
        made = torch.empty(numbers.shape, dtype=dtype or plain, device=device)
        if is_on(made, "cuda"):
            card.waits.noted.append("torch.tensor")
        return made

    with pytest.MonkeyPatch.context() as patch, card.mode, torch.inference_mode(), card.waits:
        patch.setattr(torch, "tensor", tensor)
        yield


@pytest.fixture
def in_steps(card: Card, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What steps wait for."""
    found: list[str] = []
    step = steady._Writing._step

    def watched(self: Any, rows: int, position: int) -> Callable[[], None]:
        work = step(self, rows, position)

        def noting() -> None:
            before = len(card.waits.noted)
            work()
            found.extend(card.waits.noted[before:])
            found.append(f"step {position}")

        return noting

    monkeypatch.setattr(steady._Writing, "_step", watched)
    # The captions are numbers.
    monkeypatch.setattr(steady, "_written", lambda found, _: [found])
    return found


def reader_of(folder: Path, decoding: Decoding) -> Any:
    source = TransformersSource(
        kind="transformers", model=str(folder), decoding=decoding, device="cpu"
    )
    return load_transformers_captioner(source).reader  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def on_the_card(adapter: Any, image: np.ndarray, card: Card) -> Iterator[tuple[Any, Tensor]]:
    """A model of fixed size on the card, and the pixels of a batch there."""
    pixels = torch.stack([adapter.prepare(image)] * ROWS)
    card.put_model(adapter.model)
    options = {"is_fused": False} if isinstance(adapter, Blip) else {}
    with on(card):
        there = type(adapter)(adapter.model, adapter.processor, CUDA, None, **options)
        yield there, card.put(pixels)


def write(model: Any, features: Tensor, decoding: Decoding) -> None:
    """A batch, whose board and room are on the card."""
    writes = Steady(CUDA, lambda work: work)
    steps = steps_of(model, decoding)
    assert writes.suits(steps, decoding)
    (board,) = writes.write(steps, features, UIDS, 1, decoding, PLAN)
    assert {one.device.type for one in board.tensors} == {"cuda"}


@pytest.mark.parametrize("decoding", CHOICES)
@pytest.mark.parametrize("family", FIXED)
def test_a_step_waits_for_nothing_and_mixes_no_devices(
    family: str,
    decoding: Decoding,
    folder_of: Callable[[str], Path],
    images: list[np.ndarray],
    card: Card,
    in_steps: list[str],
) -> None:
    adapter = reader_of(folder_of(family), decoding).model
    with on_the_card(adapter, images[0], card) as (there, pixels):
        features = there.encode(pixels)
        assert features.device.type == "cuda"
        write(there, features, decoding)
    assert in_steps == ["step 1", "step 2", "step 3"]


@pytest.mark.parametrize("family", ["blip", "blip2", "florence2"])
def test_guided_steps_mix_no_devices(
    family: str, folder_of: Callable[[str], Path], images: list[np.ndarray], card: Card
) -> None:
    decoding = Decoding(**SHORT, guidance_scale=2.0)
    adapter = reader_of(folder_of(family), decoding).model
    with on_the_card(adapter, images[0], card) as (there, pixels):
        steps = steps_of(there, decoding)
        _, state = steps.start(there.encode(pixels))
        state.select(torch.arange(ROWS // 2, device=CUDA))
        tokens = torch.zeros(ROWS // 2, dtype=torch.int64, device=CUDA)
        found = steps.step(tokens, state).log_softmax()
    assert [one.device.type for one in found] == ["cuda", "cuda"]


@pytest.mark.parametrize("decoding", CHOICES)
@pytest.mark.parametrize("family", CHATS)
def test_a_step_of_a_chat_model_waits_for_nothing(
    family: str,
    decoding: Decoding,
    folder_of: Callable[[str], Path],
    images: list[np.ndarray],
    card: Card,
    in_steps: list[str],
) -> None:
    """Behind prompts that were read on the CPU."""
    chat = reader_of(folder_of(family), decoding)
    go_on(chat, chat.prepare(images[0]), decoding, card)
    assert in_steps == ["step 1", "step 2", "step 3"]


@pytest.mark.parametrize("decoding", CHOICES)
def test_a_step_of_a_rewriter_waits_for_nothing(
    decoding: Decoding, tmp_path: Path, card: Card, in_steps: list[str]
) -> None:
    folder = save_language_model(tmp_path)
    rewriter = load_rewriter(rewriter_of(folder), RewriteTask(("raw",), "{raw}!"))
    reader = rewriter._reader
    go_on(reader, reader.prepare("a cat"), decoding, card)
    assert in_steps == ["step 1", "step 2", "step 3"]


def go_on(reader: Any, prompt: Any, decoding: Decoding, card: Card) -> None:
    """Read a prompt on the CPU, and write what follows on the card."""
    prompts = reader.batch([prompt])
    with torch.inference_mode():
        logits, state = prompts.start(torch.zeros(ROWS, 1, dtype=torch.int64))
    for layer in state.cache.layers:
        layer.keys, layer.values = card.put(layer.keys), card.put(layer.values)
        layer.device = layer.keys.device
    moved = PromptState(state.cache, [card.put(delta) for delta in state.deltas])
    card.put_model(reader.model)
    reader.device = CUDA
    with on(card):
        batch: Any = PromptBatch(reader, prompts.prepared)
        batch.start = lambda _: (card.put(logits), moved)
        write(batch, torch.zeros(ROWS, 1, device=CUDA), decoding)


def test_coca_mixes_no_devices(coca_folder: Path, images: list[np.ndarray], card: Card) -> None:
    source = OpenClipSource(
        kind="open_clip", model=f"local-dir:{coca_folder}", decoding=CHOICES[0], device="cpu"
    )
    coca: Any = load_coca_captioner(source).model  # pyright: ignore[reportAttributeAccessIssue]
    pixels = torch.stack([coca.prepare(images[0])] * ROWS)
    card.put_model(coca.model)
    coca.device = CUDA
    with on(card):
        logits, state = coca.start(coca.encode(card.put(pixels)))
        later = coca.step(torch.zeros(ROWS, dtype=torch.int64, device=CUDA), state)
    assert [logits.device.type, later.device.type] == ["cuda", "cuda"]
    assert not card.waits.noted


def test_resizing_mixes_no_devices(card: Card) -> None:
    plans = [
        Plan(Side(40, 32, 0), Side(50, 40, 4)),
        Plan(Side(300, 64, 8), Side(40, 32, 0)),
        Plan(Side(20, 32, 0), Side(20, 32, 0)),
    ]
    n = sum(plan.rows.source * plan.columns.source for plan in plans)
    with on(card):
        pixels = torch.zeros((n, 3), dtype=torch.uint8, device=CUDA)
        made = resample(pixels, plans, (32, 32), BICUBIC)
        table = torch.zeros((3, 256), dtype=torch.bfloat16, device=CUDA)
        found = normalised(made, table)
    assert (found.shape, found.device.type) == ((3, 3, 32, 32), "cuda")


def test_what_mixes_devices_and_what_waits_is_found(card: Card) -> None:
    with on(card):
        there = torch.zeros(3, device=CUDA)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.zeros(3)
        assert not card.waits.noted
        bool(there.any())
        there.cpu()
        torch.tensor([1], device=CUDA)
    assert len(card.waits.noted) == 3
