"""What a library is shown of a model's folder: what was checked, and nothing else."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.staging import stage_model, staging
from recap_assets.engines.model_folders.tokenizer_files import (
    check_tokenizer_file,
    repeats_repetition,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"x": np.zeros(4, np.float32)}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "config.json", {"model_type": "git", "hidden_size": 8})
    return folder


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def staged(folder: Path, tmp_path: Path) -> Path:
    into = tmp_path / "staged"
    into.mkdir()
    stage_model(folder, into, [folder / "model.safetensors"], 1)
    return into


def test_code_adapters_and_pickles_stay_behind(folder: Path, tmp_path: Path) -> None:
    for name in (
        "evil.py", "pytorch_model.bin", "adapter_config.json", "audio_tokenizer_config.json",
        "other.safetensors",
    ):  # fmt: skip
        (folder / name).write_text("{}")
    (folder / "custom_generate").mkdir()
    (folder / "additional_chat_templates").mkdir()
    found = sorted(path.name for path in staged(folder, tmp_path).iterdir())
    assert found == ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"],
)
def test_what_names_code_kernels_or_files_reaches_no_library(
    name: str, folder: Path, tmp_path: Path
) -> None:
    evil: dict[str, Any] = {
        "auto_map": {"AutoConfig": "evil.C"}, "trust_remote_code": True,
        "_attn_implementation": "evil/kernel", "custom_generate": "evil/x",
        "vocab_file": "/etc/passwd", "tokenizer_file": "/dev/zero", "name_or_path": "evil/x",
        "transformers_weights": "../x", "audio_tokenizer": {"x": 1},
    }  # fmt: skip
    write(folder, name, {"model_type": "git", "a": 1, **evil, "text_config": {"b": 2, **evil}})
    content = json.loads((staged(folder, tmp_path) / name).read_text())
    assert content == {"model_type": "git", "a": 1, "text_config": {"b": 2}}


def test_of_a_generation_config_only_the_marks_are_taken(folder: Path, tmp_path: Path) -> None:
    told = {"eos_token_id": [1, 2], "custom_generate": "x", "assistant_model": "y", "max_length": 9}
    write(folder, "generation_config.json", told)
    content = (staged(folder, tmp_path) / "generation_config.json").read_text()
    assert json.loads(content) == {"eos_token_id": [1, 2]}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ("config.json", {"text_config": {"vocab_size": 10**9}}, "text_config.vocab_size"),
        ("config.json", {"depths": [2, 10**6]}, "depths"),
        ("config.json", {"quantization_config": {"quant_method": "mxfp4"}}, "quant_method"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"4294967295": {}}}, "added_tokens"),
        ("added_tokens.json", {"<x>": 2**32}, "4294967296"),
        ("preprocessor_config.json", {"size": {"height": 10**6, "width": 1}}, "size.height"),
        ("preprocessor_config.json", {"crop_size": 100_000}, "crop_size"),
        ("processor_config.json", {"image_processor": {"size": {"shortest_edge": 10**5}}}, "edge"),
        ("processor_config.json", {"image_seq_length": 2**24}, "image_seq_length"),
        (
            "preprocessor_config.json",
            {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 2**30},
            "min_pixels",
        ),
        ("preprocessor_config.json", {"patch_size": 2, "min_pixels": 2**20}, "to 262,144"),
        (
            "processor_config.json",
            {
                "processor_class": "Qwen3VLProcessor",
                "image_processor": {"patch_size": 4, "size": {"shortest_edge": 2**21}},
            },
            "image_processor.size.shortest_edge is 2097152: it must be from 0 to 1,048,576",
        ),
        ("config.json", {"\x1b[2J_layers": 10**9}, r"\\x1b\[2J_layers is 1000000000"),
    ],
)
def test_sizes_that_no_model_has_are_refused_by_name(
    name: str, content: object, words: str, folder: Path, tmp_path: Path
) -> None:
    write(folder, name, content)
    with pytest.raises(ModelFolderError, match=words) as raised:
        staged(folder, tmp_path)
    assert str(folder / name) in str(raised.value)


def test_numbers_of_pixels_and_thetas_are_no_sides(folder: Path, tmp_path: Path) -> None:
    edges = {"shortest_edge": 65_536, "longest_edge": 12_845_056}
    qwen = {"image_processor_type": "Qwen2VLImageProcessorFast", "size": edges}
    write(folder, "preprocessor_config.json", qwen)
    config = {"rope_theta": 10**9, "max_position_embeddings": 10_485_760, "image_token_id": 2**31}
    write(folder, "config.json", config)
    assert json.loads((staged(folder, tmp_path) / "config.json").read_text()) == config


WRAPPED = {"model_type": "timm_wrapper", "architecture": "vit_tiny_patch16_224"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "hf-hub:someone/model"}, "architecture is 'hf-hub:someone/model'"),
        ({"architecture": "local-dir:/tmp/x"}, "architecture is 'local-dir:/tmp/x'"),
        ({"architecture": ["resnet18"]}, "no name of an architecture"),
        ({"backbone": "hf_hub:someone/model"}, "backbone is"),
        ({"model_args": {"checkpoint_path": "x.pth"}}, "its checkpoint_path would open another"),
        ({"model_args": {"pretrained_cfg": {"file": "x"}}}, "its pretrained_cfg would open"),
        ({"model_args": {"act_layer": "os.system"}}, "must be numbers and short words"),
        ({"model_args": {"depths": [2, 10**9]}}, "depths is 1000000000"),
        ({"model_args": ["resnet18"]}, "it must be a mapping"),
        ({"pretrained_cfg": {"input_size": [3, 10**6, 10**6]}}, "its input_size must be from 1"),
        ({"pretrained_cfg": {"crop_pct": 1e-6}}, "its crop_pct must be from 0.25 to 4"),
    ],
)
@pytest.mark.parametrize("place", ["top", "vision_config"])
def test_nothing_that_timm_is_handed_names_another_model(
    changes: dict[str, Any], words: str, place: str, folder: Path, tmp_path: Path
) -> None:
    told = {**WRAPPED, **changes}
    write(folder, "config.json", told if place == "top" else {"vision_config": told})
    with pytest.raises(ModelFolderError, match=words):
        staged(folder, tmp_path)


def test_of_what_timm_knows_of_a_model_how_images_are_prepared_is_taken(
    folder: Path, tmp_path: Path
) -> None:
    prepared = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "crop_pct": 0.9, "tag": "in1k"}
    places = {"url": "http://x/y.pth", "file": "/x.pth", "hf_hub_id": "x/y", "custom_load": True}
    options = {"global_pool": "avg", "img_size": [224, 224], "init_values": 1e-5}
    whole = {**WRAPPED, "model_args": options, "pretrained_cfg": {**prepared, **places}}
    write(folder, "config.json", {"vision_config": whole})
    content = json.loads((staged(folder, tmp_path) / "config.json").read_text())
    kept = {**WRAPPED, "model_args": options, "pretrained_cfg": prepared}
    assert content == {"vision_config": kept}


@pytest.mark.parametrize(
    "padding",
    [
        {"strategy": {"Fixed": 10**9}, "pad_id": 5},
        {"strategy": "BatchLongest", "pad_to_multiple_of": 10**9},
    ],
)
def test_padding_that_no_text_needs_is_refused(
    padding: object, folder: Path, tmp_path: Path
) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    write(folder, "tokenizer.json", {**content, "padding": padding})
    with pytest.raises(ModelFolderError, match="no text is padded to more than 1,048,576 tokens"):
        staged(folder, tmp_path)


def test_a_template_is_bounded_and_a_file_a_file(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").write_text("x" * 2**21)
    with pytest.raises(ModelFolderError, match=r"chat_template\.jinja: it has more than 1,048,576"):
        staged(folder, tmp_path)
    (folder / "chat_template.jinja").unlink()
    (folder / "vocab.txt").mkdir()
    (tmp_path / "staged").rename(tmp_path / "before")
    with pytest.raises(ModelFolderError, match=r"vocab\.txt: it is a folder"):
        staged(folder, tmp_path)


def test_errors_name_the_model_and_not_the_staged_folder() -> None:
    with (
        pytest.raises(ValueError, match=r"^my/model/config\.json is bad$"),
        staging("my/model") as f,
    ):
        raise ValueError(f"{f}/config.json is bad")


@pytest.mark.parametrize(
    "pattern",
    ["(x+x+)+y", "(a*)*", "(a*){2,}", "((ab+)c)+", "(a{1,})+", "(?:a|b+)+c", "(?i:a+)*"],
)
def test_a_repetition_of_repetitions_is_found(pattern: str) -> None:
    assert repeats_repetition(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"'s|'t|'re| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
        r"(?i:'s|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
        r"[^\r\n\p{L}]?[\p{Lu}\p{M}]*[\p{Ll}\p{M}]+(?i:'s|'t)?|\s+(?!\S)",
        r"(a|b)*", r"\(a+\)+", "[(a+)]+", "(a+)?b",
    ],
)  # fmt: skip
def test_patterns_of_common_tokenizers_are_taken(pattern: str) -> None:
    assert not repeats_repetition(pattern)


DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 60}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"type": "BPE", "vocab": {"a": 2**32 - 1}, "merges": [["a"]]}}, "model.vocab"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}, "no tokenizer"),
        ({"normalizer": {"type": "Prepend", "prepend": "x" * 10**6}}, "normalizer.prepend"),
        ({"normalizer": {"type": "Sequence", "normalizers": [DOUBLING] * 6}}, "no tokenizer that"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(x+x+)+y"}}},
            "no repetition within",
        ),
    ],
)
def test_tokenizers_that_would_hang_or_crash_are_refused(
    changes: dict[str, Any], words: str, folder: Path
) -> None:
    path = folder / "tokenizer.json"
    write(folder, path.name, {**json.loads(path.read_text()), **changes})
    with pytest.raises(ModelFolderError, match=words):
        check_tokenizer_file(path)


def test_a_vocabulary_of_sentence_piece_alone_asks_for_its_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    (folder / "tokenizer.model").write_bytes(b"\n\x05hello")
    assert (staged(folder, tmp_path) / "tokenizer.model").exists()
    (folder / "tokenizer.json").unlink()
    shutil.rmtree(tmp_path / "staged")
    words = r"tokenizer\.model: it is read by sentencepiece.*-m pip install sentencepiece`"
    with pytest.raises(ModelFolderError, match=words):
        staged(folder, tmp_path)
