"""A module with the parts of vLLM that are used, their signatures as vLLM has them.

It loads nothing and writes a caption that only image, prompt and seed decide. It shows that the
platform calls what it means to call, and nothing of what vLLM does.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

LIMIT = 10_000
"""Pixels of the largest image that the model takes."""

__version__ = "0.33.0"


@dataclass
class SamplingParams:
    n: int = 1
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None


class LLM:
    made: ClassVar[list[Any]] = []

    def __init__(
        self,
        model: str,
        *,
        trust_remote_code: bool = False,
        dtype: str = "auto",
        seed: int = 0,
        gpu_memory_utilization: float = 0.9,
        **kwargs: Any,
    ) -> None:
        self.given = {
            "trust_remote_code": trust_remote_code, "dtype": dtype, "seed": seed,
            "gpu_memory_utilization": gpu_memory_utilization, **kwargs,
        }  # fmt: skip
        self.model = Path(model)
        self.files = sorted(path.name for path in self.model.iterdir())
        self.environment = {k: v for k, v in os.environ.items() if k.startswith("VLLM_")}
        self.calls: list[tuple[list[Any], list[SamplingParams]]] = []
        LLM.made.append(self)

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(get_added_vocab=lambda: {"<|im_start|>": 1, "<|im_end|>": 2})

    def chat(  # noqa: PLR0917 - vLLM's
        self,
        messages: list[Any],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: bool | Callable[..., Any] = True,
        lora_request: Any = None,
        chat_template: str | None = None,
        chat_template_content_format: str = "auto",
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: list[dict[str, Any]] | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        tokenization_kwargs: dict[str, Any] | None = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:
        self.options = {
            "use_tqdm": use_tqdm, "lora_request": lora_request, "chat_template": chat_template,
            "chat_template_content_format": chat_template_content_format,
            "add_generation_prompt": add_generation_prompt, "tools": tools,
            "continue_final_message": continue_final_message,
            "chat_template_kwargs": chat_template_kwargs,
            "tokenization_kwargs": tokenization_kwargs, "mm_processor_kwargs": mm_processor_kwargs,
        }  # fmt: skip
        assert isinstance(sampling_params, list)
        assert self.model.is_dir(), "the staged folder is there for as long as the engine is"
        self.calls.append((messages, sampling_params))
        return [said(*one) for one in zip(messages, sampling_params, strict=True)]


def said(messages: list[dict[str, Any]], sampling: SamplingParams) -> Any:
    picture, text = messages[-1]["content"]
    pixels = np.asarray(picture["image_pil"])
    if pixels.shape[0] * pixels.shape[1] > LIMIT:
        raise ValueError("The prompt is longer than the maximum model length")
    digest = hashlib.sha256(pixels.tobytes() + text["text"].encode())
    written = f"a picture {digest.hexdigest()[:6]} drawn {sampling.seed} times"
    finish = "stop"
    match pixels.shape[0]:
        case 7:
            written = "I'm sorry, but I can't describe people in images."
        case 8:
            finish = "length"
        case 9:
            finish = "abort"
        case 10:
            written = "<think>hm</think>"
    ids = list(range(len(written.split())))
    output = SimpleNamespace(index=0, text=written, token_ids=ids, finish_reason=finish)
    return SimpleNamespace(prompt_token_ids=list(range(20)), outputs=[output])
