"""`open_clip_config.json`: all that open_clip ships is taken, and nothing that names code."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.open_clip_configs import read_open_clip_config

MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49_408, "width": 32, "layers": 1},
}


def written(folder: Path, model: dict[str, Any], preprocessing: object = None) -> Path:
    content = {"model_cfg": model, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", open_clip.list_models())
def test_every_architecture_of_open_clip_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    model = open_clip.get_model_config(name)
    read = read_open_clip_config(written(tmp_path, model)).model
    without = {k: v for k, v in model["vision_cfg"].items() if k != "timm_model_pretrained"}
    assert read == {**model, "vision_cfg": without}


@pytest.mark.parametrize(
    ("part", "changes", "named"),
    [
        ("text_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}}, "trust_remote_code"),
        ("text_cfg", {"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}, "bpe_path"),
        ("text_cfg", {"tokenizer_kwargs": {"reduction_mask": "syntax"}}, "reduction_mask"),
        ("text_cfg", {"tokenizer_kwargs": {"clean": "none"}}, "clean is 'none'"),
        ("text_cfg", {"hf_tokenizer_name": "../evil"}, "hf_tokenizer_name"),
        ("text_cfg", {"hf_model_name": "/evil"}, "hf_model_name"),
        ("text_cfg", {"hf_model_name": "a/b/c"}, "hf_model_name"),
        ("text_cfg", {"width": 200_000}, "width is 200000"),
        ("text_cfg", {"layers": 10**7}, "layers is 10000000"),
        ("text_cfg", {"vocab_size": 10**9}, "vocab_size"),
        ("text_cfg", {"context_length": 10**6}, "context_length"),
        ("text_cfg", {"norm_kwargs": {"device": "cuda"}}, "norm_kwargs.device"),
        ("text_cfg", {"proj_type": {"a": 1}}, "proj_type"),
        ("text_cfg", {"evil": 1}, "text_cfg.evil"),
        ("vision_cfg", {"timm_model_name": "hf-hub:evil/timm"}, "timm_model_name"),
        ("vision_cfg", {"timm_model_name": "local-dir:/evil"}, "timm_model_name"),
        ("vision_cfg", {"image_size": [10**6, 10**6]}, "image_size"),
        ("vision_cfg", {"layers": [10**9, 1, 1, 1]}, "layers"),
        ("vision_cfg", {"mlp_ratio": float("inf")}, "mlp_ratio"),
        ("vision_cfg", {"pool_type": "__class__.__mro__ "}, "pool_type"),
    ],
)
def test_what_names_code_or_no_model_has_is_refused_by_name(
    part: str, changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    model = {**MODEL, part: {**MODEL[part], **changes}}
    with pytest.raises(ModelFolderError, match=named) as raised:
        read_open_clip_config(written(tmp_path, model))
    assert str(tmp_path / "open_clip_config.json") in str(raised.value)


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"size": 100_000},
        {"interpolation": "__class__"},
        {"mean": ["x"]},
        {"std": [0, 1, 1]},
        {"mean": [float("nan"), 0, 0]},
        {"resize_mode": "evil"},
        [1],
    ],
)
def test_preprocessing_that_none_can_do_is_refused(preprocessing: object, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="preprocess_cfg"):
        read_open_clip_config(written(tmp_path, MODEL, preprocessing))


def test_layers_may_be_as_many_as_the_weights_have_tensors(tmp_path: Path) -> None:
    model = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "layers": 600}}
    folder = written(tmp_path, model)
    with pytest.raises(ModelFolderError, match="layers is 600"):
        read_open_clip_config(folder, 40)
    assert read_open_clip_config(folder, 7_200).text["layers"] == 600


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"model_cfg": 1}', "\xff", "{"])
def test_what_is_no_config_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFolderError, match=r"open_clip_config\.json"):
        read_open_clip_config(tmp_path)
