import numpy as np
import pytest
import torch

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.small.decoder import CaptionDecoder, DecoderShape, SmallCaptionModel
from recap_assets.engines.small.files import save_model
from recap_assets.engines.small.inference import fold_batch_norm
from recap_assets.engines.small.loading import (
    load_small_captioner,
    load_small_clip,
    read_small_captioner,
    read_small_clip,
)
from recap_assets.engines.small.tokenizer import BOS, EOS, train_tokenizer
from recap_assets.engines.small.towers import ImageTower, SmallClip, pixels_to_input
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.models import SmallTower
from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.training.engine.drawings import drawn_pairs

TOWER = SmallTower()
N = 70
UIDS = [(7 * n + 1).to_bytes(16, "big") for n in range(N)]
SAMPLED = Decoding(temperature=1.0, min_tokens=3, max_tokens=20)


@pytest.fixture(scope="module")
def pairs():
    return drawn_pairs(N)


@pytest.fixture(scope="module")
def clip_folder(pairs, tmp_path_factory):
    """Random weights, batch norms with statistics that are not the initial ones."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tokenizer = train_tokenizer(pairs.texts, 300)
    model = SmallClip(TOWER, tokenizer.get_vocab_size()).train()
    model.encode_image(pixels_to_input(torch.from_numpy(pairs.images)))
    config = {
        "kind": "small_clip",
        "tower": TOWER.model_dump(mode="json"),
        "vocabulary": tokenizer.get_vocab_size(),
    }
    save_model(folder, config, model, tokenizer)
    return folder


@pytest.fixture(scope="module")
def captioner_folder(pairs, tmp_path_factory):
    """Random weights, large enough that captions differ in text and length."""
    folder = tmp_path_factory.mktemp("captioner")
    torch.manual_seed(0)
    tokenizer = train_tokenizer(pairs.texts, 300)
    shape = DecoderShape(width=64, layers=2, vocabulary=tokenizer.get_vocab_size())
    model = SmallCaptionModel(TOWER, shape).train()
    model.visual(pixels_to_input(torch.from_numpy(pairs.images)))
    torch.nn.init.normal_(model.decoder.head.weight, std=0.2)
    model.decoder.head.bias.data[EOS] = 2.0
    config = {
        "kind": "small_captioner",
        "tower": TOWER.model_dump(mode="json"),
        "decoder": shape.model_dump(mode="json"),
    }
    save_model(folder, config, model, tokenizer)
    return folder


@pytest.mark.bits
@pytest.mark.parametrize("batch_size", [1, 5, 64, 128])
def test_embeddings_are_the_same_bits_in_any_batch_and_order(pairs, clip_folder, batch_size):
    images, texts = list(pairs.images), list(pairs.texts)
    reference = load_small_clip(clip_folder, 32)
    order = np.random.default_rng(0).permutation(N)
    scorer = load_small_clip(clip_folder, batch_size)
    for embed, content in (("embed_images", images), ("embed_texts", texts)):
        expected = getattr(reference, embed)(content)
        shuffled = getattr(scorer, embed)([content[n] for n in order])
        assert shuffled.tobytes() == expected[order].tobytes()


@pytest.mark.bits
@pytest.mark.parametrize("batch_size", [1, 24])
def test_native_convolutions_that_differ_for_eight_rows_change_nothing(
    pairs, clip_folder, captioner_folder, batch_size
):
    """Without oneDNN a batch of 8 has other bits than one of 16, as on AVX-512 with it."""
    images = list(pairs.images[:40])
    with torch.backends.mkldnn.flags(enabled=False):
        whole = load_small_clip(clip_folder, 64).embed_images(images)
        parts = load_small_clip(clip_folder, batch_size).embed_images(images[:24])
        captions = load_small_captioner(captioner_folder, SAMPLED, 1, 64).caption(images, UIDS[:40])
        some = load_small_captioner(captioner_folder, SAMPLED, 1, batch_size)
        assert some.caption(images[30:], UIDS[30:40]) == captions[30:]
    assert parts.tobytes() == whole[:24].tobytes()


@pytest.mark.bits
@pytest.mark.parametrize(
    ("decoding", "candidates"),
    [(SAMPLED, 2), (Decoding(strategy="beams", beams=3, max_tokens=6, guidance_scale=1.5), 2)],
)
def test_a_decoder_in_which_a_place_matters_computes_rows_one_at_a_time(
    pairs, captioner_folder, monkeypatch, decoding, candidates
):
    plain = CaptionDecoder.step

    def by_place(self, tokens, position, cache):
        logits = plain(self, tokens, position, cache)
        return logits + torch.arange(len(logits))[:, None].sin() * torch.arange(logits.shape[1])

    monkeypatch.setattr(CaptionDecoder, "step", by_place)
    images = list(pairs.images[:6])
    whole = load_small_captioner(captioner_folder, decoding, candidates, 8)
    expected = whole.caption(images, UIDS[:6])
    assert len({row[0].text for row in expected}) > 2
    assert whole.caption(images[::-1], UIDS[:6][::-1]) == expected[::-1]
    monkeypatch.setattr(CaptionDecoder, "step", plain)
    undisturbed = load_small_captioner(captioner_folder, decoding, candidates, 8)
    texts = [row[0].text for row in undisturbed.caption(images, UIDS[:6])]
    assert [row[0].text for row in expected] == texts  # place 0 adds nothing


@pytest.mark.bits
@pytest.mark.parametrize(("batch_size", "candidates"), [(1, 1), (5, 1), (64, 1), (5, 3), (64, 3)])
def test_captions_are_the_same_in_any_batch_and_order(
    pairs, captioner_folder, batch_size, candidates
):
    images = list(pairs.images)
    reference = load_small_captioner(captioner_folder, SAMPLED, candidates, 32)
    expected = reference.caption(images, UIDS)
    assert len({row[0].n_tokens for row in expected}) > 3, "rows must finish at different times"
    order = np.random.default_rng(0).permutation(N)[:40]
    captioner = load_small_captioner(captioner_folder, SAMPLED, candidates, batch_size)
    shuffled = captioner.caption([images[n] for n in order], [UIDS[n] for n in order])
    assert shuffled == [expected[n] for n in order]


BEAMS = {"strategy": "beams", "beams": 4, "min_tokens": 2, "max_tokens": 12}


@pytest.mark.parametrize(
    ("decoding", "candidates"),
    [
        ({"temperature": 1.0, "top_p": 0.7, "max_tokens": 12}, 2),
        ({"strategy": "greedy", "guidance_scale": 2.0, "max_tokens": 12}, 1),
        (BEAMS, 3),
        ({**BEAMS, "beam_groups": 2, "diversity_penalty": 0.5, "guidance_scale": 1.5}, 2),
    ],
)
@pytest.mark.bits
@pytest.mark.parametrize("batch_size", [1, 5])
def test_every_strategy_is_the_same_in_any_batch_and_order(
    pairs, captioner_folder, decoding, candidates, batch_size
):
    images = list(pairs.images[:24])
    decoding = Decoding(**decoding)
    expected = load_small_captioner(captioner_folder, decoding, candidates, 32).caption(
        images, UIDS[:24]
    )
    assert len({row[0].text for row in expected}) > 2
    order = np.random.default_rng(0).permutation(24)[:13]
    captioner = load_small_captioner(captioner_folder, decoding, candidates, batch_size)
    shuffled = captioner.caption([images[n] for n in order], [UIDS[n] for n in order])
    assert shuffled == [expected[n] for n in order]


def test_beams_find_likelier_captions_than_greedy(pairs, captioner_folder):
    images = list(pairs.images[:24])

    def mean(**decoding):
        captioner = load_small_captioner(captioner_folder, Decoding(**decoding))
        rows = captioner.caption(images, UIDS[:24])
        return np.mean([caption.log_probability for (caption,) in rows])

    bounds = {"min_tokens": 6, "max_tokens": 6}
    greedy = mean(strategy="greedy", **bounds)
    assert mean(strategy="beams", beams=8, length_penalty=0.0, **bounds) > greedy


@pytest.mark.bits
@pytest.mark.parametrize("threads", [1, 2])
def test_a_decoding_step_gives_a_row_the_same_bits_on_any_number_of_threads(
    request, captioner_folder, threads
):
    request.addfinalizer(lambda: torch.set_num_threads(TEST_THREADS))
    torch.manual_seed(1)
    decoder = read_small_captioner(captioner_folder).decoder
    memory, tokens = torch.randn(64, 16, 192), torch.randint(3, 200, (64, 4))

    def logits(rows):
        cache = decoder.start(memory[:rows], 1, 4)
        return [decoder.step(tokens[:rows, n], n, cache) for n in range(4)]

    with torch.inference_mode():
        expected = logits(64)
        torch.set_num_threads(threads)
        for rows in (8, 24, 64):
            for got, whole in zip(logits(rows), expected, strict=True):
                assert torch.equal(got, whole[:rows])


def test_candidates_of_an_image_differ_and_the_first_is_that_of_one_candidate(
    pairs, captioner_folder
):
    images = list(pairs.images)
    three = load_small_captioner(captioner_folder, SAMPLED, 3).caption(images, UIDS)
    one = load_small_captioner(captioner_folder, SAMPLED, 1).caption(images, UIDS)
    assert [row[:1] for row in three] == one
    assert np.mean([len({caption.text for caption in row}) == 3 for row in three]) > 0.9


def test_length_bounds_hold_and_cut_captions_are_marked(pairs, captioner_folder):
    decoding = Decoding(temperature=1.0, min_tokens=5, max_tokens=7)
    rows = load_small_captioner(captioner_folder, decoding).caption(list(pairs.images), UIDS)
    assert {caption.n_tokens for (caption,) in rows} == {5, 6, 7}
    assert all((caption.status == "truncated") == (caption.n_tokens == 7) for (caption,) in rows)
    assert all(caption.text == caption.text.strip() for (caption,) in rows)


def test_cached_decoding_gives_what_the_whole_caption_gives(captioner_folder):
    torch.manual_seed(1)
    decoder = read_small_captioner(captioner_folder).decoder
    memory = torch.randn(2, 16, 192)
    tokens = torch.randint(3, 200, (6, 9))
    tokens[:, 0] = BOS
    with torch.inference_mode():
        whole = decoder(memory.repeat_interleave(3, 0), tokens)
        cache = decoder.start(memory, 3, 9)
        for position in range(9):
            logits = decoder.step(tokens[:, position], position, cache)
            torch.testing.assert_close(logits[:, EOS:], whole[:, position, EOS:])
            assert torch.isinf(logits[:, :EOS]).all()


def test_folding_batch_norms_changes_no_output(clip_folder, pairs):
    tower = read_small_clip(clip_folder).visual
    folded = ImageTower(TOWER)
    folded.load_state_dict(tower.state_dict())
    inputs = pixels_to_input(torch.from_numpy(pairs.images[:8]))
    with torch.inference_mode():
        torch.testing.assert_close(
            fold_batch_norm(folded)(inputs), tower(inputs), atol=1e-4, rtol=1e-4
        )


def test_images_of_any_size_are_taken(clip_folder, captioner_folder):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, shape).astype(np.uint8)
        for shape in ((1, 1, 3), (64, 64, 3), (300, 20, 3), (700, 900, 3))
    ]
    embeddings = load_small_clip(clip_folder).embed_images(images)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert len(load_small_captioner(captioner_folder, SAMPLED).caption(images, UIDS[:4])) == 4


def test_nothing_in_nothing_out(clip_folder, captioner_folder):
    scorer = load_small_clip(clip_folder)
    assert scorer.embed_images([]).shape == scorer.embed_texts([]).shape == (0, 128)
    assert load_small_captioner(captioner_folder, SAMPLED).caption([], []) == []


def test_more_tokens_than_positions_are_refused(captioner_folder):
    with pytest.raises(ModelFileError, match="writes at most 63"):
        load_small_captioner(captioner_folder, Decoding(max_tokens=77))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_model_is_named(clip_folder, tmp_path, name, damage):
    for path in clip_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match=name):
        load_small_clip(tmp_path)


def test_a_model_of_another_kind_is_refused(clip_folder):
    with pytest.raises(ModelFileError, match="needed is 'small_captioner'"):
        load_small_captioner(clip_folder, SAMPLED)


def test_a_resized_image_is_embedded_alike(clip_folder):
    scorer = load_small_clip(clip_folder)
    rng = np.random.default_rng(0)
    shapes = [(200, 90), (5, 7), (TOWER.image_size, TOWER.image_size), (1, 400)]
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    small = [scorer.resizing.resize(image) for image in images]
    assert {image.shape for image in small} == {scorer.resizing.shape}
    assert np.array_equal(scorer.embed_images(small), scorer.embed_images(images))
