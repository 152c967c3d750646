"""Captions by vLLM's offline engine (`vllm.LLM`), as its version 0.16 and later have it.

Each candidate of each image is a conversation with a seed of its own, made of (seed, uid,
candidate). vLLM decides which of them it computes together; its batch-invariant kernels give a row
the same logits whatever is beside it, on GPUs that have them.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PillowImage

from recap_assets.captions.kinds.vllm.folder import ADVICE, NOT_INSTALLED, staged_folder
from recap_assets.captions.kinds.vllm.spec import VllmSpec
from recap_assets.captions.servers.images import made_small
from recap_assets.captions.servers.replies import text_and_status
from recap_assets.captions.servers.requests import seed_of
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.protocols import Caption, Image

_PLAIN = np.full((64, 64, 3), 128, np.uint8)


class _Asked(NamedTuple):
    """One conversation, and how its reply is drawn."""

    messages: list[dict[str, Any]]
    sampling: Any


class VllmCaptioner:
    """Writes captions by an engine that is loaded.

    Args:
        source: Prompt, decoding, candidates and image size.
        vllm: The library.
        engine: Its `LLM`.
    """

    def __init__(self, source: VllmSpec, vllm: Any, engine: Any) -> None:  # noqa: ANN401 - of a library that may be absent
        self._source, self._vllm, self._engine = source, vllm, engine
        self._held = ExitStack()
        tokenizer = engine.get_tokenizer()
        self._tokens = frozenset(map(str, tokenizer.get_added_vocab()))

    def caption(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None = None,
    ) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        asked = [
            self._asked(image, uid, candidate, self._source.asked(named, self._tokens))
            for image, uid, named in zip(images, uids, texts or [{}] * len(images), strict=True)
            for candidate in range(self._source.candidates)
        ]
        captions = self._captions(asked)
        n = self._source.candidates
        return [captions[start : start + n] for start in range(0, len(captions), n)]

    def hold(self, files: ExitStack) -> None:
        """Keep what must stay for as long as the engine is used."""
        self._held = files

    def try_out(self) -> None:
        """Caption a grey image: what does not fit together fails here, and not for each image.

        Raises:
            Exception: Whatever vLLM raises.
        """
        prompt = self._source.asked(dict.fromkeys(self._source.reads, "something"))
        self._replies([self._asked(_PLAIN, bytes(16), 0, prompt)])

    def _asked(self, image: Image, uid: bytes, candidate: int, prompt: str) -> _Asked:
        decoding = self._source.decoding
        small = PillowImage.fromarray(made_small(image, self._source.max_pixels))
        content = [{"type": "image_pil", "image_pil": small}, {"type": "text", "text": prompt}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if self._source.system:
            messages.insert(0, {"role": "system", "content": self._source.system})
        is_drawn = decoding.temperature > 0
        sampling = self._vllm.SamplingParams(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k or -1,
            min_tokens=decoding.min_tokens or 0,
            max_tokens=decoding.max_tokens,
            seed=seed_of(decoding.seed, uid, candidate) if is_drawn else None,
        )
        return _Asked(messages, sampling)

    def _captions(self, asked: Sequence[_Asked]) -> list[Caption]:
        """A caption for each; what vLLM refuses is set aside, and nothing beside it."""
        if not asked:
            return []
        try:
            return [_caption_of(reply) for reply in self._replies(asked)]
        except ValueError:
            # vLLM refuses a batch for one prompt that is too long for the model, or an image.
            if len(asked) == 1:
                return [Caption("", "error", reason="request_refused")]
            half = len(asked) // 2
            return self._captions(asked[:half]) + self._captions(asked[half:])

    def _replies(self, asked: Sequence[_Asked]) -> list[Any]:
        return self._engine.chat(
            [one.messages for one in asked],
            sampling_params=[one.sampling for one in asked],
            use_tqdm=False,
            # Some models think aloud unless instructed otherwise, and that is no caption.
            chat_template_kwargs={"enable_thinking": False},
        )


def _caption_of(reply: Any) -> Caption:  # noqa: ANN401 - vLLM's RequestOutput
    (written,) = reply.outputs
    if written.finish_reason not in ("stop", "length"):
        return Caption("", "error", reason="aborted")
    text, status, reason = text_and_status(written.text, is_cut=written.finish_reason == "length")
    return Caption(
        text,
        status,
        n_tokens=len(written.token_ids),
        reason=reason,
        n_prompt_tokens=len(reply.prompt_token_ids),
    )


def load_vllm_captioner(source: VllmSpec) -> VllmCaptioner:
    """A captioner by vLLM.

    Raises:
        ModelFileError: vLLM is not installed or cannot load the model, or a file of it is damaged.
    """
    if find_spec("vllm") is None:
        msg = f"cannot load {source.model}: {NOT_INSTALLED}"
        raise ModelFileError(msg)
    with ExitStack() as stack:
        folder = stack.enter_context(staged_folder(source))
        with explain_loading(source.model, ADVICE):
            # Both are read when the engine starts. vLLM reports its use to its makers otherwise.
            os.environ["VLLM_BATCH_INVARIANT"] = str(int(source.batch_invariant))
            os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
            vllm = import_module("vllm")
            engine = vllm.LLM(
                model=str(folder),
                trust_remote_code=False,
                load_format="safetensors",
                dtype=source.precision,
                seed=0,
                max_model_len=source.longest,
                gpu_memory_utilization=source.memory,
                limit_mm_per_prompt={"image": 1, "video": 0},
                generation_config="vllm",
            )
            captioner = VllmCaptioner(source, vllm, engine)
            captioner.try_out()
        # The staged folder stays while the captioner does: vLLM reads some files only when asked.
        captioner.hold(stack.pop_all())
    return captioner
