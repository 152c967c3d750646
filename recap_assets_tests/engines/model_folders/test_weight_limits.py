"""A model beyond the limit of weights: each fault is found, and no weight is read."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from transformers import BlipForConditionalGeneration, modeling_utils

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.rewrite import RewriteSource
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.engines.model_folders.weight_limits import bytes_beyond, is_beyond, weight_limit
from recap_assets.engines.model_folders.weights import Weights
from recap_assets.scores.kinds.matching import ImageTextMatching
from recap_assets.scores.kinds.open_clip import OpenClipScorer
from recap_assets.scores.kinds.text_similarity import TextSimilarityScorer
from recap_assets.scores.of_images.kinds.classifier import ImageClassifier
from recap_assets.specs.base import Spec
from recap_assets.testing.inputs import Nothing
from recap_assets_tests.captions.kinds.transformers.families import BUILDERS
from recap_assets_tests.captions.rewriters.tiny_language import save_language_model
from recap_assets_tests.captions.tiny_captioners import save_blip, save_coca
from recap_assets_tests.scores.of_images.test_classifier import save_classifier
from recap_assets_tests.scores.test_matching import save_matching
from recap_assets_tests.scores.test_text_similarity import save_encoder
from recap_assets_tests.scores.tiny_clip import save_clip

SAVES: Mapping[str, Callable[[Path], Path]] = {
    **BUILDERS,
    "blip": save_blip,
    "coca": save_coca,
    "clip": save_clip,
    "language": save_language_model,
    "matching": save_matching,
    "encoder": save_encoder,
    "classifier": save_classifier,
}
CLIPS = ("coca", "clip")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny model as the hub has it, written once, which no test changes."""
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folders[name] = SAVES[name](tmp_path_factory.mktemp(name))
        return folders[name]

    return folder_of


KINDS: Mapping[str, tuple[type[Spec], str]] = {
    "coca": (OpenClipSource, "open_clip"),
    "clip": (OpenClipScorer, "open_clip"),
    "matching": (ImageTextMatching, "image_text_matching"),
    "classifier": (ImageClassifier, "image_classifier"),
}
BESIDE = {"coca": {"decoding": {"max_tokens": 10}}, "classifier": {"label": "nsfw"}}


def spec_of(name: str, folder: Path, **keys: Any) -> Any:
    """The part of an experiment with that model."""
    prefix = "local-dir:" if name in CLIPS else ""
    values = {"model": f"{prefix}{folder}", "device": "cpu", **BESIDE.get(name, {}), **keys}
    if name == "language":
        prompt = values.pop("prompt", "{raw}!")
        by = {"kind": "transformers", **values}
        return RewriteSource.model_validate({"kind": "rewrite", "prompt": prompt, "by": by})
    if name == "encoder":
        given = {"kind": "text_similarity", "captions": "a", "encoder": values}
        return TextSimilarityScorer.model_validate(given)
    if name in KINDS:
        kind, word = KINDS[name]
        return kind.model_validate({"kind": word, **values})
    decoding = {"max_tokens": 10, **values.pop("decoding", {})}
    return TransformersSource.model_validate(
        {"kind": "transformers", "decoding": decoding, **values}
    )


def findings(spec: Any, limit: int | None) -> tuple[list[str], list[str]]:
    """What doctor finds in order and wrong."""
    with weight_limit(limit):
        found = list(spec.doctor("here", Nothing()))
    return [text for good, text in found if good], [t for good, t in found if good is False]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of tensors that the libraries open."""
    files: list[str] = []
    for module in (safetensors.torch, modeling_utils):
        plain = module.safe_open

        def counted(path: Any, *rest: Any, _plain: Any = plain, **options: Any) -> Any:
            files.append(str(path))
            return _plain(path, *rest, **options)

        monkeypatch.setattr(module, "safe_open", counted)
    return files


@pytest.mark.parametrize("name", [name for name in SAVES if name not in CLIPS])
def test_no_tensor_is_read_of_a_model_beyond_the_limit(
    name: str, saved: Callable[[str], Path], opened: list[str]
) -> None:
    spec = spec_of(name, saved(name))
    said, wrong = findings(spec, 1)
    assert (wrong, opened) == ([], [])
    assert "were checked by their headers, and not loaded" in said[0]
    read, wrong = findings(spec, None)
    assert (wrong, len(opened)) == ([], 1)
    assert read[0].endswith(" loads")
    # What a prompt costs a chat model is found without its weights.
    assert said[1:] == read[1:]


@pytest.mark.parametrize("name", CLIPS)
def test_no_page_of_open_clips_weights_is_read(
    name: str, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, plain = [], safetensors.torch.load_file

    def load(*given: Any, **options: Any) -> Any:
        kept.append(plain(*given, **options))
        return kept[-1]

    monkeypatch.setattr(safetensors.torch, "load_file", load)
    path = saved(name) / "open_clip_model.safetensors"
    said, wrong = findings(spec_of(name, saved(name)), 1)
    assert wrong == []
    assert "were checked by their headers, and not loaded" in said[0]
    unread = resident(path)
    assert findings(spec_of(name, saved(name)), None)[1] == []
    assert len(kept) == 2
    # Around what is read of the header the kernel maps some pages more.
    assert 4 * unread < path.stat().st_size < 2 * resident(path)


def resident(path: Path) -> int:
    """Bytes of the file that this process has mapped and touched."""
    n_kib, is_it = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            is_it = line.endswith(str(path.resolve()))
        elif is_it and first == "Rss:":
            n_kib += int(line.split()[1])
    return n_kib * 1024


def cut_off(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])


def without_a_tensor(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("weight") and tensors[n].ndim == 2)
    del tensors[name]
    save_file(tensors, path, {"format": "pt"})


def with_a_tensor_of_another_shape(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("weight") and tensors[n].ndim == 2)
    tensors[name] = torch.zeros(tensors[name].shape[0] + 1, tensors[name].shape[1])
    save_file(tensors, path, {"format": "pt"})


def without_weights(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.unlink()


def with_a_damaged_config(folder: Path) -> None:
    next(p for p in folder.iterdir() if p.name.endswith("config.json")).write_text("{")


@pytest.mark.parametrize("name", ["blip", "llava", "coca", "clip", "language", "matching"])
@pytest.mark.parametrize(
    "damage",
    [
        cut_off,
        without_a_tensor,
        with_a_tensor_of_another_shape,
        without_weights,
        with_a_damaged_config,
    ],
)
def test_damaged_weights_and_configs_are_found(
    name: str, damage: Callable[[Path], None], saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved(name), tmp_path / "model")
    damage(folder)
    _, wrong = findings(spec_of(name, folder), 1)
    assert len(wrong) == 1, wrong
    assert str(folder) in wrong[0]
    assert len(findings(spec_of(name, folder), None)[1]) == 1


def test_a_tensor_is_looked_for_in_every_file_of_a_model(
    saved: Callable[[str], Path], tmp_path: Path, opened: list[str]
) -> None:
    whole = BlipForConditionalGeneration.from_pretrained(saved("blip"))
    folder = shutil.copytree(saved("blip"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="50KB")
    first, *others = sorted(folder.glob("*.safetensors"))
    assert others
    opened.clear()
    assert findings(spec_of("blip", folder), 1)[1] == []
    tensors = load_file(first)
    opened.clear()
    lost = min(name for name in tensors if name.endswith("weight"))
    save_file({n: t for n, t in tensors.items() if n != lost}, first, {"format": "pt"})
    (text,) = findings(spec_of("blip", folder), 1)[1]
    assert f"lacks tensors of its own config: {lost}. " in text
    assert opened == []


@pytest.mark.parametrize("name", ["encoder", "classifier"])
def test_a_tensor_that_is_missing_is_named(
    name: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved(name), tmp_path / "model")
    without_a_tensor(folder)
    ((text,), (expected,)) = (findings(spec_of(name, folder), n)[1] for n in (1, None))
    assert "lacks tensors of its own config: " in text
    assert text == expected


def damaged(folder: Path, name: str, **keys: Any) -> None:
    """Write keys over a JSON file of the model, or no JSON where there are none."""
    path = folder / name
    text = json.dumps({**json.loads(path.read_text()), **keys}) if keys else "{"
    path.write_text(text)


FAULTS: Mapping[str, tuple[str, Callable[[Path], object], Mapping[str, Any], str]] = {
    "a tokenizer that is damaged": (
        "blip", lambda at: damaged(at, "tokenizer.json"), {}, "tokenizer.json"
    ),
    "a tokenizer that is missing": (
        "language", lambda at: (at / "tokenizer.json").unlink(), {}, "cannot load"
    ),
    "a processor that is damaged": (
        "llava", lambda at: damaged(at, "processor_config.json"), {}, "processor_config"
    ),
    "a chat model without a template": (
        "llava", lambda at: (at / "chat_template.jinja").unlink(), {}, "no chat template"
    ),
    "a template that does not pass on a prompt": (
        "llava", lambda at: (at / "chat_template.jinja").write_text("hello"),
        {"prompt": "See {raw}"}, "does not pass on what a user says",
    ),
    "a model of another kind": (
        "blip", lambda at: damaged(at, "config.json", model_type="bert"), {}, "of type bert"
    ),
    "a larger model than its weights": (
        "language", lambda at: damaged(at, "config.json", vocab_size=200_000), {}, "it claims"
    ),
    "an end mark that it does not have": (
        "llava", lambda at: damaged(at, "generation_config.json", eos_token_id=77_777),
        {}, "ends a text with token 77777",
    ),
    "max_pixels of a model with one size": (
        "blip", lambda _: None, {"max_pixels": 4_096}, "leave out max_pixels"
    ),
    "an attention that it does not have": (
        "git", lambda _: None, {"attention": "sdpa"}, "does not support"
    ),
    "longer captions than it has positions": (
        "blip", lambda _: None, {"decoding": {"max_tokens": 400}}, "400"
    ),
    "a prompt without room for a text": (
        "language", lambda _: None, {"prompt": "word " * 1_000 + "{raw}"},
        "leaves no room for 40 more. Shorten `prompt`",
    ),
    "a label that it does not have": (
        "classifier", lambda _: None, {"label": "watermark"}, "no label 'watermark'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_together_is_found(
    fault: str, saved: Callable[[str], Path], tmp_path: Path, opened: list[str]
) -> None:
    name, change, keys, words = FAULTS[fault]
    folder = shutil.copytree(saved(name), tmp_path / "model")
    change(folder)
    _, wrong = findings(spec_of(name, folder, **keys), 1)
    assert opened == []
    (text,) = wrong
    assert words in text
    (expected,) = findings(spec_of(name, folder, **keys), None)[1]
    assert text == expected


FOUR_BITS = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def test_a_processor_of_another_image_size_is_found(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved("blip"), tmp_path / "model")
    large = {"image_processor_type": "BlipImageProcessor", "size": {"height": 48, "width": 48}}
    damaged(folder, "processor_config.json", image_processor=large)
    for limit in (1, None):
        (text,) = findings(spec_of("blip", folder), limit)[1]
        assert "17" in text  # tokens of an image of 32 pixels, where there are 37
        assert "37" in text


def test_a_quantized_model_is_not_compared_by_shapes(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved("blip"), tmp_path / "model")
    damaged(folder, "config.json", quantization_config=FOUR_BITS)
    with_a_tensor_of_another_shape(folder)
    assert findings(spec_of("blip", folder), 1)[1] == []


def test_what_is_beyond_the_limit_is_counted() -> None:
    small, large = Weights(1, 2, 8), Weights(1, 3, 12)
    assert not is_beyond(large)
    with weight_limit(8):
        assert [is_beyond(one) for one in (small, large, large)] == [False, True, True]
        assert bytes_beyond() == 24
        with weight_limit(None):
            assert not is_beyond(large)
            assert bytes_beyond() == 0
        assert bytes_beyond() == 24
    assert bytes_beyond() == 0
