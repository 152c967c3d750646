"""Tiny models of every family with random weights, saved as the hub has them."""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertTokenizerFast,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

WORDS = [f"word{n}" for n in range(40)]
SIDE = {"height": 32, "width": 32}
TOWER = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
TEMPLATE = (
    "{% for message in messages %}{{ '<s> ' + message['role'] + ' ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ 'IMAGE ' }}{% else %}{{ part['text'] + ' ' }}{% endif %}"
    "{% endfor %}{{ '[END] ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)


def shuffle_weights(
    model: torch.nn.Module, seed: int, scale: float = 0.25, tied: float = 0.1
) -> None:
    """Weights large enough that images and prompts change the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            base = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            # Where the output is the embedding again, large ones would repeat one word for ever.
            factor = tied if "shared" in name else 1.0
            weight.copy_(base + torch.randn(weight.shape, generator=generator) * scale * factor)


def tokenizer_of(
    special: dict[str, str],
    extra: tuple[str, ...] = (),
    frame: str | None = None,
    named: dict[str, str] | None = None,
) -> PreTrainedTokenizerFast:
    """Words, special tokens, what the tokenizer puts around a text, and tokens of a model's own."""
    vocabulary = {word: n for n, word in enumerate([*special.values(), *extra, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if frame:
        used = [word for word in frame.split() if word != "$A"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=frame, special_tokens=[(token, vocabulary[token]) for token in used]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=named or list(extra), **special
    )


MARKS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "[END]"}


def _save(
    folder: Path,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    seed: int,
    scale: float = 0.25,
) -> Path:
    shuffle_weights(model, seed, scale)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _ends(tokenizer: PreTrainedTokenizerFast) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "vocab_size": len(tokenizer),
    }


def _qformer(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "encoder_hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }


def t5(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "model_type": "t5",
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
        **_ends(tokenizer),
        "bos_token_id": None,
    }


def blip2_t5(folder: Path) -> Path:
    tokenizer = tokenizer_of(MARKS, ("<image>",), "$A [END]")
    processor = Blip2Processor(BlipImageProcessor(size=SIDE), tokenizer, num_query_tokens=4)
    config = Blip2Config(
        vision_config=TOWER,
        qformer_config=_qformer(tokenizer),
        text_config=t5(tokenizer),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return _save(folder, Blip2ForConditionalGeneration(config), processor, 11, 0.5)


def instructblip(folder: Path) -> Path:
    tokenizer = tokenizer_of(MARKS, ("<image>",), "<s> $A")
    return _instructblip(folder, tokenizer, LLAMA | _ends(tokenizer))


def instructblip_t5(folder: Path) -> Path:
    tokenizer = tokenizer_of(MARKS, ("<image>",), "$A [END]")
    return _instructblip(folder, tokenizer, t5(tokenizer))


def _instructblip(folder: Path, tokenizer: PreTrainedTokenizerFast, text: dict) -> Path:
    bert = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    reader = tokenizer_of(bert, (), "[CLS] $A [SEP]")
    processor = InstructBlipProcessor(
        BlipImageProcessor(size=SIDE), tokenizer, reader, num_query_tokens=4
    )
    config = InstructBlipConfig(
        vision_config=TOWER,
        qformer_config=_qformer(reader),
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    scale = 0.5 if text["model_type"] == "t5" else 0.25
    return _save(folder, InstructBlipForConditionalGeneration(config), processor, 12, scale)


def git(folder: Path) -> Path:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizerFast(vocab={word: n for n, word in enumerate(words)})
    processor = GitProcessor(_clip_images(), tokenizer)
    config = GitConfig(
        vision_config=TOWER,
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=40,
        bos_token_id=2,
        eos_token_id=3,
    )
    return _save(folder, GitForCausalLM(config), processor, 13)


def florence2(folder: Path) -> Path:
    words = ["What", "does", "the", "image", "describe?", "Describe", "in", "detail", "with"]
    tokenizer = tokenizer_of(MARKS, ("<image>", *words), named={"image_token": "<image>"})
    images = _clip_images()
    images.image_seq_length = 17
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 16, 16, 24],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "patch_stride": [2, 2, 2, 1],
        "patch_size": [3, 3, 3, 3],
        "patch_padding": [1, 1, 1, 1],
        "window_size": 4,
        "projection_dim": 32,
        "drop_path_rate": 0.0,
    }
    text = {
        "model_type": "bart",
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": 64,
        "decoder_start_token_id": 3,
        **_ends(tokenizer),
    }
    config = Florence2Config(
        vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id
    )
    model = Florence2ForConditionalGeneration(config)
    model.generation_config.forced_bos_token_id = 2
    model.generation_config.forced_eos_token_id = None
    model.generation_config.decoder_start_token_id = 3
    return _save(folder, model, Florence2Processor(images, tokenizer), 14, 0.35)


def _clip_images() -> CLIPImageProcessor:
    return CLIPImageProcessor(size=SIDE, crop_size=SIDE, do_center_crop=False)


def llava(folder: Path) -> Path:
    tokenizer = _chat_tokenizer("<image>")
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **TOWER},
        text_config=LLAMA | _ends(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    processor = LlavaProcessor(
        _clip_images(),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _save(folder, LlavaForConditionalGeneration(config), processor, 15)


def _chat_tokenizer(*extra: str, **named: str) -> PreTrainedTokenizerFast:
    return tokenizer_of(MARKS, (*extra, "user", "assistant"), named=named)


def _qwen(folder: Path, **kinds: Callable) -> Path:
    tokenizer = _chat_tokenizer(
        "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
    )
    ids = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10_000.0}
    text = LLAMA | {"rope_parameters": rope, "head_dim": 8, **_ends(tokenizer)}
    del text["model_type"]
    vision = {"depth": 2, "num_heads": 2, "patch_size": 8, "in_channels": 3, **kinds["vision"]}
    config = kinds["config"](
        text_config=text,
        vision_config=vision,
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    size = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    processor = kinds["processor"](
        Qwen2VLImageProcessor(patch_size=8, size=size),
        tokenizer,
        kinds["videos"](patch_size=8),
        chat_template=TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return _save(folder, kinds["model"](config), processor, 16)


def qwen2_vl(folder: Path) -> Path:
    return _qwen(
        folder,
        config=Qwen2VLConfig,
        model=Qwen2VLForConditionalGeneration,
        processor=Qwen2VLProcessor,
        videos=Qwen2VLVideoProcessor,
        vision={"embed_dim": 16, "hidden_size": 32},
    )


def qwen3_vl(folder: Path) -> Path:
    return _qwen(
        folder,
        config=Qwen3VLConfig,
        model=Qwen3VLForConditionalGeneration,
        processor=Qwen3VLProcessor,
        videos=Qwen3VLVideoProcessor,
        vision={
            "hidden_size": 16,
            "intermediate_size": 24,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
        },
    )


def idefics3(folder: Path) -> Path:
    tokenizer = _chat_tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    config = Idefics3Config(
        vision_config=TOWER,
        text_config=LLAMA | _ends(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = Idefics3ImageProcessor(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True
    )
    processor = Idefics3Processor(
        images,
        tokenizer,
        image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _save(folder, Idefics3ForConditionalGeneration(config), processor, 17)


def gemma3(folder: Path) -> Path:
    """With sliding attention in its first layer."""
    named = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<image>"}
    tokenizer = _chat_tokenizer("<boi>", "<eoi>", "<image>", **named)
    ids = tokenizer.convert_tokens_to_ids
    text = LLAMA | {
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 8,
        **_ends(tokenizer),
    }
    config = Gemma3Config(
        text_config={**text, "model_type": "gemma3_text"},
        vision_config={**TOWER, "model_type": "siglip_vision_model"},
        mm_tokens_per_image=4,
        boi_token_index=ids("<boi>"),
        eoi_token_index=ids("<eoi>"),
        image_token_index=ids("<image>"),
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size=SIDE),
        tokenizer,
        image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE", "<boi>"),
    )
    return _save(folder, Gemma3ForConditionalGeneration(config), processor, 18)


BUILDERS = {
    "blip2_t5": blip2_t5,
    "instructblip": instructblip,
    "instructblip_t5": instructblip_t5,
    "git": git,
    "florence2": florence2,
    "llava": llava,
    "qwen2_vl": qwen2_vl,
    "qwen3_vl": qwen3_vl,
    "idefics3": idefics3,
    "gemma3": gemma3,
}
