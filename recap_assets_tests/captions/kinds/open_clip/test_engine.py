"""CoCa through the code that loads coca_ViT-L-14."""

import shutil

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.open_clip.engine import load_coca_captioner
from recap_assets.engines.errors import ModelFileError
from recap_assets.specs.decoding import Decoding


def source_of(model, **changes) -> OpenClipSource:
    decoding = {"min_tokens": 2, "max_tokens": 10, **changes.pop("decoding", {})}
    return OpenClipSource(
        kind="open_clip", model=str(model), decoding=Decoding(**decoding), **changes
    )


def test_greedy_captions_follow_open_clips_forward(coca_folder, images, uids):
    """One image at a time, the whole prefix each time, by nothing but open_clip's public calls."""
    name = f"local-dir:{coca_folder}"
    decoding = {"strategy": "greedy", "min_tokens": 0}
    ours = load_coca_captioner(source_of(name, decoding=decoding)).caption(images, uids)
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    for index in (0, 1, 2, 5, 6, 7):
        pixels = preprocess(Image.fromarray(images[index]))[None]
        ids = [tokenizer.sot_token_id]
        while len(ids) < 11 and ids[-1] != tokenizer.eot_token_id:
            with torch.inference_mode():
                output = model(pixels, torch.tensor([ids]), output_labels=False)
            ids.append(int(output["logits"][0, -1].argmax()))
        text = tokenizer.decode([i for i in ids if i < tokenizer.sot_token_id])
        assert ours[index][0].text == text.strip()
    assert len({row[0].text for row in ours}) > 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(coca_folder, images, uids, precision):
    captioner = load_coca_captioner(source_of(f"local-dir:{coca_folder}", precision=precision))
    whole = captioner.caption(images[:3], uids[:3])
    assert captioner.caption(images[1:2], uids[1:2]) == whole[1:2]


def test_a_name_with_a_file(coca_folder, images, uids, tmp_path):
    """As `model: coca_ViT-L-14, pretrained: FILE`, with a name added to open_clip's list."""
    config = (coca_folder / "open_clip_config.json").read_text()
    (tmp_path / "coca_tiny.json").write_text(config[len('{"model_cfg": ') : -1])
    open_clip.add_model_config(tmp_path)
    file = coca_folder / "open_clip_model.safetensors"
    by_name = load_coca_captioner(source_of("coca_tiny", pretrained=str(file)))
    by_folder = load_coca_captioner(source_of(f"local-dir:{coca_folder}"))
    assert by_name.caption(images, uids) == by_folder.caption(images, uids)


def test_weights_must_be_named():
    with pytest.raises(ModelFileError, match=r"coca_ViT-B-32 needs weights.*laion2b_s13b_b90k"):
        load_coca_captioner(source_of("coca_ViT-B-32"))


def test_an_unknown_name():
    with pytest.raises(ModelFileError, match="no model named coca_ViT-Q-99"):
        load_coca_captioner(source_of("coca_ViT-Q-99", pretrained="laion2b_s13b_b90k"))


def test_an_unknown_tag():
    with pytest.raises(ModelFileError, match=r"no file laion3b.*laion2b_s13b_b90k"):
        load_coca_captioner(source_of("coca_ViT-B-32", pretrained="laion3b"))


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelFileError, match="On a machine with network"):
        load_coca_captioner(source_of("coca_ViT-B-32", pretrained="laion2b_s13b_b90k"))


def test_a_pickle_is_refused_unopened(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"not even a pickle")
    with pytest.raises(ModelFileError, match=r"not a safetensors file.*save_file"):
        load_coca_captioner(source_of("coca_ViT-B-32", pretrained=str(file)))


def test_a_folder_with_a_pickle_only(coca_folder, tmp_path):
    shutil.copy(coca_folder / "open_clip_config.json", tmp_path)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelFileError, match="one safetensors file is needed"):
        load_coca_captioner(source_of(f"local-dir:{tmp_path}"))


def test_a_missing_folder(tmp_path):
    with pytest.raises(ModelFileError, match=r"has no open_clip_config\.json"):
        load_coca_captioner(source_of(f"local-dir:{tmp_path / 'nothing'}"))


def test_truncated_weights(coca_folder, tmp_path):
    folder = shutil.copytree(coca_folder, tmp_path / "copy")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="cannot load local-dir:"):
        load_coca_captioner(source_of(f"local-dir:{folder}"))


def test_weights_of_another_model(coca_folder, tmp_path):
    folder = shutil.copytree(coca_folder, tmp_path / "copy")
    weights = load_file(folder / "open_clip_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, folder / "open_clip_model.safetensors")
    with pytest.raises(ModelFileError, match=r"loading state_dict for CoCa"):
        load_coca_captioner(source_of(f"local-dir:{folder}"))


def test_a_clip_that_is_no_coca(tmp_path):
    config = '{"embed_dim": 8, "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, '
    config += (
        '"head_width": 8, "patch_size": 8}, "text_cfg": {"width": 16, "heads": 2, "layers": 1}}'
    )
    (tmp_path / "open_clip_config.json").write_text(f'{{"model_cfg": {config}}}')
    model = open_clip.create_model(f"local-dir:{tmp_path}")
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(ModelFileError, match="writes no captions: it is a CLIP"):
        load_coca_captioner(source_of(f"local-dir:{tmp_path}"))
