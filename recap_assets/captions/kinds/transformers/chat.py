"""Chat models that take images: LLaVA, Qwen-VL, SmolVLM, Gemma and whatever else transformers has.

An image becomes as many tokens as its size asks for, so prompts differ in length. On a CPU every
prompt is read by itself, image and all: read together, no row of any family keeps its bits. On a
GPU, where one prompt does not fill the device, those with images of one size are read in eights,
never more or fewer: the last is repeated where there are fewer. From then on captions are written
together, those with prompts of one length in a batch: padding a shorter one would change its bits.
Where images of a pool have many sizes, batches stay small; `max_pixels` bounds what they cost, and
a server (kind openai) is faster then.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from PIL import Image as PilImage
from torch import Tensor
from transformers import DynamicCache

from recap_assets.captions.servers.images import made_small
from recap_assets.engines.decoding.language import (
    counted_on,
    end_tokens,
    positions_of,
    same_bits_for_one_query,
)
from recap_assets.engines.decoding.prefixes import Read, SharedPrefix
from recap_assets.engines.decoding.prompted import PromptBatch, PromptState
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.templates import literal, render_template
from recap_assets.engines.protocols import Image

TOGETHER_ON_A_GPU = 8
"""Prompts that are read at once there."""

INSTRUCTION = (
    "Write a caption for this image: one sentence that says what it shows. "
    "Answer with the caption only."
)
"""What the user asks by default."""


class NoRoomError(ValueError):
    """With its image a prompt leaves no room for the caption."""


_IMAGE_TOKENS = ("image_token_id", "image_token_index")
"""What configs call the token that stands for a part of an image."""

_POSITION_INPUTS = ("input_ids", "image_grid_thw", "mm_token_type_ids")
"""What positions are counted by where an image has two dimensions of them."""

Inputs = Mapping[str, Tensor]
"""What the processor makes of an image and the instruction: one row of `input_ids`, pixels in the
model's own layout, sizes and masks."""


MARK = "RecapPutsThePromptHere"
"""What stands for the instruction in a template that is rendered before images have their own."""


def fix_prompt(processor: Any, model: str, instruction: str) -> None:  # noqa: ANN401
    """Render the processor's template once, where it can be ended, and leave it the text.

    What the template would say is known when the model is loaded, but for the instruction, where
    `MARK` stands for that of each image. A processor without a template is left alone.

    Raises:
        ModelFileError: The template cannot be rendered within its bounds, or does not pass on what
            the user says.
    """
    template = getattr(processor, "chat_template", None)
    if isinstance(template, Mapping):
        template = template.get("default")
    if not template:
        return
    content = [{"type": "image", "image": "<Image>"}, {"type": "text", "text": instruction}]
    marks = getattr(processor.tokenizer, "special_tokens_map", {})
    options: dict[str, Any] = {name: _plain(mark) for name, mark in marks.items()}
    # Some models think aloud unless instructed otherwise, and that is no caption.
    if "enable_thinking" in str(template):
        options["enable_thinking"] = False
    messages = [{"role": "user", "content": content}]
    prompt = render_template(model, str(template), messages, options)
    if instruction == MARK and prompt.count(MARK) != 1:
        msg = f"{model}: its chat template does not pass on what a user says; take another model"
        raise ModelFileError(msg)
    processor.around = prompt.partition(MARK)
    processor.chat_template = literal(prompt)


def _plain(mark: object) -> object:
    return [str(one) for one in mark] if isinstance(mark, list | tuple) else str(mark)


class Chat:
    """A chat model of transformers with the template of its processor.

    Args:
        model: In eval mode, on its device or devices.
        processor: The one that it came with, its template already rendered (`fix_prompt`).
        device: Where its inputs go and its logits come out.
        prompt: The user's words beside the image.
        max_tokens: Longest caption that is asked for.
        max_pixels: Larger images are made smaller; None shows them as they are.

    Raises:
        ModelFileError: It has no chat template, or no end mark.
    """

    can_refuse = True

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of eighty classes
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
        max_tokens: int,
        max_pixels: int | None = None,
    ) -> None:
        self.model, self.processor, self.device = model, processor, device
        self.together = TOGETHER_ON_A_GPU if device.type == "cuda" else 1
        self.max_pixels = max_pixels
        self.instruction = prompt or INSTRUCTION
        self.max_tokens = max_tokens
        text_config = model.config.get_text_config()
        self.vocabulary: int = text_config.vocab_size
        self.positions = positions_of(text_config)
        self.eos: Sequence[int] = end_tokens(model.generation_config) or end_tokens(
            text_config, processor.tokenizer
        )
        template = getattr(processor, "chat_template", None)
        if not template or not self.eos:
            lacks = "end mark" if template else "chat template"
            msg = (
                f"{model.name_or_path} is a {type(model).__name__} with no {lacks}: it cannot be "
                "asked for a caption"
            )
            raise ModelFileError(msg)
        self.prefix = SharedPrefix(self, self.device)
        # Qwen-VL and its kin keep here what the last prompt came to.
        self.counters = [m for m in model.modules() if hasattr(m, "rope_deltas")]

    def prepare(self, image: Image, instruction: str | None = None) -> Inputs:
        """Template and processor, for a user who shows the image and says the instruction.

        Args:
            image: The image.
            instruction: Its own, in the place of `MARK`; without it all have the one that is fixed.

        Raises:
            NoRoomError: With its image the prompt leaves no room for the caption.
        """
        if self.max_pixels is not None:
            image = made_small(image, self.max_pixels)
        shown = {"type": "image", "image": PilImage.fromarray(image)}
        content = [shown, {"type": "text", "text": instruction or self.instruction}]
        own: dict[str, str] = {}
        if instruction is not None:
            before, _, after = self.processor.around
            own["chat_template"] = literal(f"{before}{instruction}{after}")
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            **own,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        n_tokens = inputs["input_ids"].shape[1]
        if n_tokens + self.max_tokens > self.positions:
            msg = f"a prompt of {n_tokens} tokens leaves no room for {self.max_tokens} more"
            raise NoRoomError(msg)
        return inputs

    def length(self, prepared: Inputs) -> int:
        """Tokens of the prompt, the image's included."""
        return prepared["input_ids"].shape[1]

    def batch(self, prepared: Sequence[Inputs]) -> "PromptBatch":
        """The model for these prompts, which are of one length."""
        return PromptBatch(self, prepared)

    def read(self, inputs: Inputs) -> Read:
        """The logits after a prompt, shape (1, vocabulary), its cache and its deltas.

        Of several prompts, joined along the first axis of their inputs, one row each. What all
        prompts have before their image is read once, where that changes no bit.
        """
        return self.prefix.read(inputs)

    def begins(self, inputs: Inputs) -> Tensor:
        """The token ids before the image, shape (rows, tokens)."""
        ids = inputs["input_ids"]
        marks = [getattr(self.model.config, name, None) for name in _IMAGE_TOKENS]
        of_image = sum(ids == mark for mark in marks if mark is not None)
        can_go_on = all(hasattr(counter, "get_rope_index") for counter in self.counters)
        if isinstance(of_image, int) or not can_go_on:
            return ids[:, :0]
        places = of_image.any(0).nonzero()
        return ids[:, : int(places[0])] if len(places) else ids[:, :0]

    def read_on(self, inputs: Inputs, n: int, cache: DynamicCache | None) -> Read:
        """Read prompts from their token `n` on, behind a cache of those before."""
        moved = {
            name: value.to(self.device, self.model.dtype)
            if value.is_floating_point()
            else value.to(self.device)
            for name, value in inputs.items()
            if name != "attention_mask"  # prompts of one length have no padding
        }
        if n:
            moved = self._behind(moved, n)
        output = self.model(**moved, past_key_values=cache, use_cache=True, **self._only_the_last())
        cache = output.past_key_values
        if not isinstance(cache, DynamicCache):
            msg = f"{type(self.model).__name__} keeps a {type(cache).__name__}, which cannot be cut"
            raise ModelFileError(msg)
        deltas = [counter.rope_deltas for counter in self.counters]
        logits = output.logits[:, -1].float().to(self.device)
        return logits, cache, [delta for delta in deltas if delta is not None]

    def step(self, tokens: Tensor, state: PromptState) -> Tensor:
        """One token on."""
        for counter, delta in zip(self.counters, state.deltas, strict=False):
            counter.rope_deltas = delta
        # What others make on the host may be numbers that are best left there.
        counted = counted_on(self.device) if self.counters else nullcontext()
        with same_bits_for_one_query(self.device), counted:
            output = self.model(
                input_ids=tokens[:, None], past_key_values=state.cache, use_cache=True
            )
        return output.logits[:, -1].float().to(self.device)

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.processor.tokenizer.decode(tokens, skip_special_tokens=True)

    def _behind(self, inputs: dict[str, Tensor], n: int) -> dict[str, Tensor]:
        """The inputs without the first `n` tokens of each prompt, and the positions of the rest."""
        shape = inputs["input_ids"].shape
        rest = {
            name: value[:, n:] if name.endswith("_ids") and value.shape == shape else value
            for name, value in inputs.items()
        }
        named = {name: inputs[name] for name in _POSITION_INPUTS if name in inputs}
        for counter in self.counters:
            # It would count the rest as if nothing were before it.
            positions, counter.rope_deltas = counter.get_rope_index(**named)
            rest["position_ids"] = positions[..., n:]
        return rest

    def _only_the_last(self) -> Mapping[str, int]:
        # Logits of every prompt token would take gigabytes in a large vocabulary.
        return {"logits_to_keep": 1} if self.model._supports_logits_to_keep() else {}  # noqa: SLF001
