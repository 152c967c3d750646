"""Texts rewritten by a language model of transformers, safetensors only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.transformers.spec import TransformersRewriterSpec
from recap_assets.engines.batch_sizes import BatchSize, Load, device_name
from recap_assets.engines.decoding.batching import REJECTED, BatchingCaptioner
from recap_assets.engines.decoding.language import (
    end_tokens,
    positions_of,
    same_bits_for_one_query,
)
from recap_assets.engines.decoding.prefixes import Read, SharedPrefix
from recap_assets.engines.decoding.prompted import PromptBatch, PromptState
from recap_assets.engines.devices import dtype_of, resolve_device
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.model_folders.configs import read_config
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.templates import render_template
from recap_assets.engines.model_folders.transformers_models import OPTIONS, CheckedFolder
from recap_assets.engines.protocols import Caption
from recap_assets.untrusted.showing import one_line

TOO_LONG = "too_long"
"""Reason of a prompt that leaves no room for a text behind it."""

_MARK = "RecapPutsThePromptHere"
_PLAIN = "a photo of a dog"


class Around:
    """What a chat template puts around what a user says; nothing where a model has none.

    Raises:
        ModelFileError: The template cannot be rendered within its bounds, or does not pass on what
            the user says.
    """

    def __init__(self, model: str, tokenizer: Any, system: str | None) -> None:  # noqa: ANN401
        template = tokenizer.chat_template
        if isinstance(template, Mapping):
            template = template.get("default")
        self.is_chat = bool(template)
        self.before, self.after = "", ""
        if template:
            self.before, self.after = _rendered(model, str(template), tokenizer, system)


def _rendered(model: str, template: str, tokenizer: Any, system: str | None) -> tuple[str, str]:  # noqa: ANN401
    marks = tokenizer.special_tokens_map.items()
    options: dict[str, Any] = {name: str(mark) for name, mark in marks if isinstance(mark, str)}
    # Some models think aloud unless instructed otherwise, and that is no text.
    if "enable_thinking" in template:
        options["enable_thinking"] = False
    said = [{"role": "user", "content": _MARK}]
    if system:
        said.insert(0, {"role": "system", "content": system})
    try:
        text = render_template(model, template, said, options)
    except ModelFileError:
        if not system:
            raise
        # Some templates know no system message; then it begins what the user says.
        said = [{"role": "user", "content": f"{system}\n\n{_MARK}"}]
        text = render_template(model, template, said, options)
    before, mark, after = text.partition(_MARK)
    if not mark or _MARK in after:
        msg = f"{model}: its chat template does not pass on what a user says; take another model"
        raise ModelFileError(msg)
    return before, after


class TextReader:
    """A language model that is asked in words; see `decoding.batching.Reader`.

    Args:
        model: In eval mode, on its device.
        tokenizer: The one that it came with.
        around: What its template puts around a prompt.
        max_tokens: Longest text that is asked for.
    """

    can_refuse = True
    together = 1

    def __init__(self, model: Any, tokenizer: Any, around: Around, max_tokens: int) -> None:  # noqa: ANN401
        self.model, self.tokenizer, self.around = model, tokenizer, around
        self.device: torch.device = model.device
        self.max_tokens = max_tokens
        self.prefix = SharedPrefix(self, self.device)
        config = model.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.positions = positions_of(config)
        self.eos: Sequence[int] = end_tokens(model.generation_config) or end_tokens(
            config, tokenizer
        )
        self.own_tokens = frozenset(str(one) for one in tokenizer.added_tokens_decoder.values())
        if not self.eos:
            msg = f"{model.name_or_path} has no end mark: it cannot be asked for a text"
            raise ModelFileError(msg)

    def prepare(self, image: Any) -> list[int]:  # noqa: ANN401 - a prompt, in an image's place
        """Token ids of a prompt.

        Raises:
            ValueError: It leaves no room for a text.
        """
        text = f"{self.around.before}{image}{self.around.after}"
        options = {"add_special_tokens": False} if self.around.is_chat else {}
        ids = self.tokenizer(text, **options)["input_ids"]
        if not ids or len(ids) + self.max_tokens > self.positions:
            msg = f"a prompt of {len(ids)} tokens leaves no room for {self.max_tokens} more"
            raise ValueError(msg)
        return ids

    def length(self, prepared: list[int]) -> int:
        """Tokens of the prompt."""
        return len(prepared)

    def batch(self, prepared: Sequence[list[int]]) -> PromptBatch:
        """The model for these prompts, which are of one length."""
        return PromptBatch(self, prepared)

    def read(self, inputs: list[int]) -> Read:
        """One prompt: the logits after it, shape (1, vocabulary), and its cache.

        What all prompts begin with is read once, where that changes no bit.
        """
        return self.prefix.read(inputs)

    def begins(self, inputs: list[int]) -> Tensor:
        """All of it: what is an image's own shows when prompts are compared."""
        return torch.tensor([inputs])

    def read_on(self, inputs: list[int], n: int, cache: DynamicCache | None) -> Read:
        """Read a prompt from its token `n` on, behind a cache of those before."""
        cache = DynamicCache(config=self.model.config) if cache is None else cache
        ids = torch.tensor([inputs[n:]], device=self.device)
        return self._logits(ids, cache), cache, []

    def step(self, tokens: Tensor, state: PromptState) -> Tensor:
        """One token on."""
        with same_bits_for_one_query(self.device):
            return self._logits(tokens[:, None], state.cache)

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def _logits(self, ids: Tensor, cache: DynamicCache) -> Tensor:
        output = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float().to(self.device)


class LocalRewriter:
    """Rewrites with a model on this machine, each row as it would be alone.

    Args:
        reader: The model.
        by: Decoding and batch size.
        task: Prompt and candidates.
        size: Rows decoded together.
    """

    def __init__(
        self, reader: TextReader, by: TransformersRewriterSpec, task: RewriteTask, size: BatchSize
    ) -> None:
        self._task, self._reader = task, reader
        self._writer = BatchingCaptioner(reader, by.decoding, task.candidates, size)

    def rewrite(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        """Write for each image its candidates, in order; a prompt without room is `too_long`."""
        prompts: Any = [self._task.asked(texts, self._reader.own_tokens) for texts in inputs]
        return [
            [_in_words(one) for one in written] for written in self._writer.caption(prompts, uids)
        ]


def _in_words(caption: Caption) -> Caption:
    return replace(caption, reason=TOO_LONG) if caption.reason == REJECTED else caption


def load_rewriter(by: TransformersRewriterSpec, task: RewriteTask) -> LocalRewriter:
    """A rewriter from a folder in transformers' layout, or from the hub.

    Raises:
        ModelFileError: The model is missing, damaged, no language model, or asks for code of its
            own.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(by.device)
    with explain_loading(by.model, _advice(by)):
        folder = model_folder(by.model, by.revision, lambda at: _check_kind(by, at))
        with staging(by.model) as staged:
            reader = _staged_reader(by, folder, staged, device)
    try:
        prompt = reader.prepare(task.asked(dict.fromkeys(task.reads, _PLAIN)))
    except ValueError as error:
        msg = f"{by.model}: {error}. Shorten `prompt` or `system`, or lower `decoding.max_tokens`"
        raise ModelFileError(msg) from error
    if reader.device.type != "meta":
        with torch.inference_mode():
            reader.read(prompt)
    load = Load(by.model, by.revision, by.precision, by.decoding.max_tokens, device_name(device))
    return LocalRewriter(reader, by, task, BatchSize(by.batch_size, load, None))


def _check_kind(by: TransformersRewriterSpec, folder: Path) -> None:
    kind = str(read_config(folder / "config.json").get("model_type"))
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        msg = (
            f"{by.model} is a model of type {one_line(kind, 80)}, and no language model that "
            "transformers has the code of; take one such as Qwen/Qwen2.5-1.5B-Instruct"
        )
        raise ModelFileError(msg)


def _staged_reader(
    by: TransformersRewriterSpec, folder: Path, staged: Path, device: torch.device
) -> TextReader:
    """The model, by way of a folder that holds what was checked of its own."""
    checked = CheckedFolder(folder, staged)
    config = AutoConfig.from_pretrained(staged, **OPTIONS)
    options: dict[str, Any] = {"dtype": dtype_of(by.precision)}
    if device.type == "cpu":
        # The fused kernel gives a single query other bits in another batch there.
        options["attn_implementation"] = "eager"
    skeleton = checked.skeleton(
        lambda: AutoModelForCausalLM.from_config(config, trust_remote_code=False, **options)
    )
    tokenizer = AutoTokenizer.from_pretrained(staged, **OPTIONS)
    around = Around(by.model, tokenizer, by.system)
    model, lacking = checked.model(skeleton, AutoModelForCausalLM.from_pretrained, **options)
    if lacking:
        first = ", ".join(lacking[:8])
        msg = f"{by.model} lacks tensors of its own config: {first}. {_advice(by)}"
        raise ModelFileError(msg)
    put(model, device)
    return TextReader(model, tokenizer, around, by.decoding.max_tokens)


def _advice(by: TransformersRewriterSpec) -> str:
    return (
        f"On a machine with network: `hf download {by.model} --local-dir FOLDER`, then give FOLDER "
        "as the model. Only safetensors are read."
    )
