"""CLIP of open_clip as a scorer, through the code that loads ViT-L-14."""

import json
import logging
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from recap_assets.engines.errors import DeviceError, ModelFileError
from recap_assets.engines.open_clip.models import without_false_alarms
from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.text_tower import CausalTextEncoder, bucket_of, text_encoder_of
from recap_assets.scores.kinds.open_clip import OpenClipScorer
from recap_assets.testing.inputs import Nothing
from recap_assets_tests.scores.tiny_clip import save_clip

TEXTS = [
    "a photo of a dog",
    "",
    "IMG_2231.jpg",
    "word " * 120,
    "two cats asleep on a red sofa beside a window in the evening sun",
    "été à Nîmes, 2019!",
]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (40, 25), (1, 1), (64, 48), (33, 31), (17, 90), (512, 384), (300, 32)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def spec_of(folder, **changes) -> OpenClipScorer:
    options = {"model": f"local-dir:{folder}", **changes}
    return OpenClipScorer(kind="open_clip", **options)


def opened(folder, **changes):
    return spec_of(folder, **changes).open(Nothing())


@pytest.fixture(scope="session")
def scorer(clip_folder):
    return opened(clip_folder)


def test_loading_prints_nothing_and_leaves_logging_as_it_was(clip_folder, capfd, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = list(root.filters)
    opened(clip_folder)
    assert capfd.readouterr() == ("", "")
    assert root.handlers == []
    assert root.filters == before


def test_what_else_is_warned_of_while_it_loads_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with without_false_alarms():
        logging.warning("No pretrained weights loaded for x")
        logging.warning("the disk is slow")
    assert capsys.readouterr().err == "the disk is slow\n"


@pytest.fixture(scope="session")
def original(clip_folder):
    """open_clip's own model, preprocessing and tokenizer."""
    name = f"local-dir:{clip_folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_pixels_equal_open_clips(images, mode):
    config = open_clip.transform.PreprocessCfg(size=32, resize_mode=mode, interpolation="bilinear")
    preprocess = open_clip.transform.image_transform_v2(config, is_train=False)
    ours = PixelTransform(vars(config))(images)
    theirs = torch.stack([preprocess(Image.fromarray(image)) for image in images])
    assert torch.equal(ours, theirs)


def test_an_image_that_has_the_models_size_is_not_resampled(scorer, original, images):
    _, preprocess, _ = original
    assert np.array_equal(scorer._pixels.resize(images[0]), images[0])
    assert torch.equal(scorer._pixels(images[:1])[0], preprocess(Image.fromarray(images[0])))


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (2, 50_000)])
def test_a_long_strip_is_cut_to_its_middle(scorer, shape):
    """Its short side scaled up, the whole of the strip would take gigabytes."""
    strip = np.zeros((*shape, 3), np.uint8)
    middle = [
        slice(n // 2 - min(shape), n // 2 + min(shape)) if n > 2 else slice(None) for n in shape
    ]
    strip[tuple(middle)] = 255
    resized = scorer._pixels.resize(strip)
    assert resized.shape == (32, 32, 3)
    assert resized.min() > 200


def test_image_embeddings_equal_open_clips(scorer, original, images):
    model, preprocess, _ = original
    with torch.inference_mode():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images])
        expected = model.encode_image(pixels, normalize=True).numpy()
    assert np.array_equal(scorer.embed_images(images), expected)


def test_text_embeddings_equal_open_clips(scorer, original):
    model, _, tokenizer = original
    with torch.inference_mode():
        expected = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    np.testing.assert_allclose(scorer.embed_texts(TEXTS), expected, atol=2e-6)


def test_texts_are_computed_at_their_own_length(scorer, original):
    _, _, tokenizer = original
    assert isinstance(scorer._encode_text, CausalTextEncoder)
    assert bucket_of(scorer._encode_text, tokenizer(TEXTS)).tolist() == [8, 8, 16, 77, 16, 16]


@pytest.mark.bits
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_embeddings_do_not_depend_on_batch_or_order(clip_folder, images, precision):
    scorers = [opened(clip_folder, batch_size=n, precision=precision) for n in (64, 1, 3)]
    whole_images, whole_texts = scorers[0].embed_images(images), scorers[0].embed_texts(TEXTS)
    for one in scorers:
        order = [5, 2, 3, 0, 1, 4]
        assert np.array_equal(one.embed_images([images[n] for n in order]), whole_images[order])
        assert np.array_equal(one.embed_texts([TEXTS[n] for n in order]), whole_texts[order])
    for embeddings in (whole_images, whole_texts):
        assert embeddings.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("precision", "error"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_half_precision_is_near(clip_folder, scorer, images, precision, error):
    half = opened(clip_folder, precision=precision)
    np.testing.assert_allclose(half.embed_images(images), scorer.embed_images(images), atol=error)
    np.testing.assert_allclose(half.embed_texts(TEXTS), scorer.embed_texts(TEXTS), atol=error)


def test_a_batch_that_is_too_large_is_halved(clip_folder, scorer, images):
    small = opened(clip_folder, batch_size=64)
    sizes = []

    def with_room_for_sixteen(_module, args):
        sizes.append(len(args[0]))
        if len(args[0]) > 16:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)

    small.model.visual.register_forward_pre_hook(with_room_for_sixteen)
    many = [images[n % len(images)] for n in range(40)]
    assert np.array_equal(small.embed_images(many), scorer.embed_images(many))
    assert small.batch_size == 16
    assert max(sizes) == 40
    seen = len(sizes)
    small.embed_images(many)
    assert sizes[seen:] == [16, 16, 8]


def test_a_row_that_does_not_fit_alone_is_raised(clip_folder, images):
    small = opened(clip_folder, batch_size=4)

    def without_memory(_module, _args):
        msg = "CUDA out of memory"
        raise torch.OutOfMemoryError(msg)

    small.model.visual.register_forward_pre_hook(without_memory)
    with pytest.raises(torch.OutOfMemoryError):
        small.embed_images(images)


def test_nothing_to_embed(scorer):
    assert scorer.embed_images([]).shape == (0, 24)
    assert scorer.embed_texts([]).shape == (0, 24)
    assert scorer.embedding_dim == 24


def test_a_text_tower_that_reads_all_positions_is_left_alone(clip_folder, tmp_path):
    """A model with its own text class goes through open_clip's encode_text, at full length."""
    document = json.loads((clip_folder / "open_clip_config.json").read_text())
    document["model_cfg"]["custom_text"] = True
    document["model_cfg"]["text_cfg"]["no_causal_mask"] = True
    (tmp_path / "open_clip_config.json").write_text(json.dumps(document))
    torch.manual_seed(1)
    model = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    scorer = opened(tmp_path)
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(TEXTS)
        expected = model.encode_text(tokens, normalize=True).numpy()
    assert not isinstance(text_encoder_of(model), CausalTextEncoder)
    np.testing.assert_allclose(scorer.embed_texts(TEXTS), expected, atol=1e-6)


def test_a_name_with_a_file(clip_folder, scorer, images, tmp_path):
    document = json.loads((clip_folder / "open_clip_config.json").read_text())
    (tmp_path / "clip_tiny.json").write_text(json.dumps(document["model_cfg"]))
    open_clip.add_model_config(tmp_path)
    file = clip_folder / "open_clip_model.safetensors"
    named = opened("", model="clip_tiny", pretrained=str(file))
    assert np.array_equal(named.embed_texts(TEXTS), scorer.embed_texts(TEXTS))
    assert not np.array_equal(named.embed_images(images), scorer.embed_images(images))


def test_a_tag_sets_activation_and_normalisation(monkeypatch, tmp_path):
    """open_clip only warns that ViT-B-32 of OpenAI needs another activation than its config."""
    open_clip.add_model_config(write_tiny_config(tmp_path))
    model = open_clip.create_model("clip_tagged", force_quick_gelu=True)
    file = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), file)
    tag = {"file": str(file), "quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: tag)
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda *_: ["mine"])
    scorer = opened("", model="clip_tagged", pretrained="mine")
    gelu = scorer.model.visual.transformer.resblocks[0].mlp.gelu
    assert type(gelu).__name__ == "QuickGELU"
    pixels = scorer._pixels([np.zeros((16, 16, 3), np.uint8)])
    torch.testing.assert_close(pixels[0, :, 0, 0], torch.tensor([-0.1, -0.2, -0.3]))


def write_tiny_config(folder: Path) -> Path:
    vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    (folder / "clip_tagged.json").write_text(json.dumps(config))
    return folder


def test_weights_must_be_named():
    with pytest.raises(ModelFileError, match=r"ViT-B-32 needs weights.*openai"):
        opened("", model="ViT-B-32")


def test_a_folder_takes_no_other_weights(clip_folder):
    with pytest.raises(ModelFileError, match="leave pretrained"):
        opened(clip_folder, pretrained="openai")


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelFileError, match=r"ViT-B-32 \(laion2b_s34b_b79k\).*network"):
        opened("", model="ViT-B-32", pretrained="laion2b_s34b_b79k")


@pytest.mark.parametrize("damage", ["truncated", "other shapes", "garbled config"])
def test_damaged_files(clip_folder, tmp_path, damage):
    weights = tmp_path / "open_clip_model.safetensors"
    config = (clip_folder / "open_clip_config.json").read_text()
    data = (clip_folder / weights.name).read_bytes()
    weights.write_bytes(data[:-10] if damage == "truncated" else data)
    if damage == "other shapes":
        tensors = load_file(weights)
        tensors["text_projection"] = torch.zeros(3, 3)
        save_file(tensors, weights)
    (tmp_path / "open_clip_config.json").write_text(
        config[:-20] if damage == "garbled config" else config
    )
    with pytest.raises(ModelFileError, match="cannot load local-dir:"):
        opened(tmp_path)


def test_a_device_that_is_not_there(clip_folder):
    with pytest.raises(DeviceError, match="device cuda:3 is not on this machine; it has"):
        opened(clip_folder, device="cuda:3")
