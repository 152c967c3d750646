"""Beams: those of `generate`, and of a plain reference that knows no cache, batch or array."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.engines.decoding.beams import search_beams
from recap_assets.engines.decoding.captioner import NO_OTHER_BEAM, CaptionWriter
from recap_assets.engines.decoding.guidance import steps_of
from recap_assets.engines.decoding.model import ReorderableState
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.row_counts import rounded
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.opening import load_captioner

KINDS = ["blip", "blip2", "coca"]
PLAIN = {"strategy": "beams", "beams": 4, "min_tokens": 1, "max_tokens": 7}
DIVERSE = {**PLAIN, "beams": 6, "beam_groups": 3, "diversity_penalty": 0.7}
STRATEGIES = {
    "nucleus": {"top_p": 0.8, "temperature": 1.5, "top_k": None},
    "unrepeated": {"temperature": 1.5, "repetition_penalty": 1.4, "no_repeat_ngram": 2},
    "greedy guided": {"strategy": "greedy", "guidance_scale": 2.5},
    "sampled guided": {"temperature": 1.5, "guidance_scale": 1.5},
    "beams": PLAIN,
    "diverse beams": DIVERSE,
    "beams guided": {**PLAIN, "guidance_scale": 2.0, "no_repeat_ngram": 2},
}
MANY_ENDS = [3, 20, 28, 36, 44]
"""Random weights seldom end a caption: with several ends, beams end at many lengths."""


def source_of(kind, folder, decoding, **options):
    options = {"decoding": Decoding(**{"min_tokens": 2, "max_tokens": 7, **decoding}), **options}
    if kind == "coca":
        return OpenClipSource(kind="open_clip", model=f"local-dir:{folder}", **options)
    return TransformersSource(kind="transformers", model=str(folder), **options)


@pytest.fixture(params=KINDS)
def load(request, tmp_path):
    """Loads a captioner of one kind through the dispatch that the stages use."""
    folder = request.getfixturevalue(f"{request.param}_folder")

    def build(decoding, **options):
        return load_captioner(source_of(request.param, folder, decoding, **options), tmp_path)

    return build


def features_of(model, images):
    return torch.cat([model.encode(model.prepare(image)[None]) for image in images])


def beams_of(model, features, decoding):
    """Tokens and log-probabilities of all beams of each image, searched in one batch."""
    n = -(-len(features) // 8) * 8
    padded = torch.cat([features, features[-1:].expand(n - len(features), *features.shape[1:])])
    plan = RowPlan(n, rounded(len(features) * decoding.beams), lambda wanted, _: rounded(wanted))
    with torch.inference_mode():
        return search_beams(
            steps_of(model, decoding), padded, len(features), decoding, model.eos, plan
        )


# With generate of transformers


def generated(folder, ours, images, decoding):
    """Tokens of all beams of each image by `generate`, without their end marks."""
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    text_config = model.config.text_config
    options = {
        "num_beams": decoding.beams,
        "num_return_sequences": decoding.beams,
        "length_penalty": decoding.length_penalty,
        "min_new_tokens": decoding.min_tokens,
        "max_new_tokens": decoding.max_tokens,
        "no_repeat_ngram_size": decoding.no_repeat_ngram,
        "eos_token_id": ours.eos,
        "pad_token_id": 0,
        "do_sample": False,
    }
    found = []
    for image in images:
        pixels = ours.prepare(image)[None]
        with torch.inference_mode():
            if model.config.model_type == "blip":
                # As BLIP's own `generate` does, which takes no other end than its own.
                seen = model.vision_model(pixels)[0]
                ids = torch.tensor([[text_config.bos_token_id]])
                rows = model.text_decoder.generate(ids, encoder_hidden_states=seen, **options)
            else:
                image_ids = [model.config.image_token_index] * model.config.num_query_tokens
                ids = torch.tensor([[*image_ids, text_config.bos_token_id]])
                rows = model.generate(pixel_values=pixels, input_ids=ids, **options)
        found.append([until_end(row[ids.shape[1] :].tolist(), ours.eos, decoding) for row in rows])
    return found


def until_end(tokens, ends, decoding):
    first = next((n for n, token in enumerate(tokens) if token in ends), decoding.max_tokens)
    return tokens[:first]


@pytest.mark.parametrize(
    ("ends", "changes"),
    [
        ([3], {}),
        (MANY_ENDS, {"beams": 2, "min_tokens": 0}),
        (MANY_ENDS, {"length_penalty": 0.0, "min_tokens": 0}),
        (MANY_ENDS, {"length_penalty": 2.5}),
        (MANY_ENDS, {"length_penalty": -1.0, "min_tokens": 4}),
        ([3], {"beams": 7, "no_repeat_ngram": 2}),
    ],
)
@pytest.mark.parametrize("kind", ["blip", "blip2"])
def test_all_beams_are_those_of_generate(request, images, kind, ends, changes):
    folder = request.getfixturevalue(f"{kind}_folder")
    decoding = Decoding(**{**PLAIN, "max_tokens": 10, **changes})
    model = load_captioner(source_of(kind, folder, {}), folder).model
    model.eos = ends
    ours = beams_of(model, features_of(model, images[:4]), decoding)
    theirs = generated(folder, model, images[:4], decoding)
    assert [[beam.tokens for beam in beams] for beams in ours] == theirs
    if ends == MANY_ENDS:
        lengths = {len(beam.tokens) for beams in ours for beam in beams}
        assert len(lengths) > 1, "beams must end at different times"


# With a plain reference


@dataclass
class Group:
    """Beams as lists: open ones (score, own, tokens), ended ones (score by length, own, tokens)."""

    open: list = field(default_factory=lambda: [(0.0, 0.0, [])])
    ended: list = field(default_factory=list)
    done: bool = False


def reference(distribution, decoding, ends):
    """Diverse beam search of one image by its definition.

    `distribution` gives, for a prefix, the log-probabilities that decide and the model's own.
    """
    size = decoding.beams // decoding.beam_groups
    groups = [Group() for _ in range(decoding.beam_groups)]
    for position in range(decoding.max_tokens):
        chosen = Counter()
        for group in groups:
            options = []
            for beam, (score, own, tokens) in enumerate(group.open):
                deciding, owns = distribution(tuple(tokens))
                deciding = deciding.clone()
                for token, times in chosen.items():
                    deciding[token] -= decoding.diversity_penalty * times
                if position < decoding.min_tokens:
                    deciding[ends] = -torch.inf
                for token in deciding.topk(40).indices.tolist():
                    total = score + float(deciding[token])
                    options.append((total, -beam, -token, own + float(owns[token]), tokens))
            advance(group, sorted(options, reverse=True), size, position, decoding, ends)
            if not group.done:
                chosen.update(tokens[-1] for _, _, tokens in group.open)
    ended = [beam for group in groups for beam in group.ended]
    return sorted(ended, key=lambda beam: -beam[0])


def advance(group, options, size, position, decoding, ends):
    by_length = (position + 1) ** decoding.length_penalty
    is_last = position + 1 == decoding.max_tokens
    going = []
    for rank, (score, _, token, own, tokens) in enumerate(options[: (1 + len(ends)) * size]):
        if -token in ends or is_last:
            if rank < size and not group.done:
                written = tokens if -token in ends else [*tokens, -token]
                group.ended.append((score / by_length, own, written))
        elif len(going) < size:
            going.append((score, own, [*tokens, -token]))
    group.ended = sorted(group.ended, key=lambda beam: -beam[0])[:size]
    group.open = going
    if len(group.ended) == size and not is_last:
        group.done |= group.open[0][0] / by_length <= group.ended[-1][0]


def distribution_of(model, features, scale):
    """Log-probabilities after a prefix, read from its beginning each time, one row alone."""
    known = {}

    def logits(seen, prefix):
        output, state = model.start(seen)
        for token in prefix:
            output = model.step(torch.tensor([token]), state)
        return output[0].clone()

    @torch.inference_mode()
    def distribution(prefix):
        if prefix not in known:
            own = deciding = logits(features, prefix)
            if scale != 1:
                without = logits(torch.zeros_like(features), prefix)
                deciding = without + scale * (own - without)
            known[prefix] = deciding.log_softmax(0).double(), own.log_softmax(0).double()
        return known[prefix]

    return distribution


REFERENCE_CASES = [
    {"length_penalty": 0.5},
    {"beams": 6, "beam_groups": 2, "diversity_penalty": 0.4},
    {"beams": 4, "beam_groups": 4, "diversity_penalty": 1.0},
    {"guidance_scale": 2.0},
    {"beams": 6, "beam_groups": 3, "diversity_penalty": 2.0, "length_penalty": 0.0},
    {"beams": 4, "beam_groups": 2, "diversity_penalty": 1.0, "guidance_scale": 0.5},
]


@pytest.mark.parametrize(
    ("load", "changes"),
    [(kind, changes) for kind in KINDS for changes in REFERENCE_CASES[4 * (kind == "coca") :]],
    indirect=["load"],
)
def test_beams_are_those_of_the_reference(load, images, changes):
    model, decoding = Ending(load({}).model), Decoding(**{**PLAIN, **changes})
    features = features_of(model, images[5:7])
    ours = beams_of(model, features, decoding)
    for n in range(2):
        distribution = distribution_of(model, features[n : n + 1], decoding.guidance_scale)
        expected = reference(distribution, decoding, model.eos)
        assert [beam.tokens for beam in ours[n]] == [tokens for _, _, tokens in expected]
        own = [own for _, own, _ in expected]
        assert [beam.log_probability for beam in ours[n]] == pytest.approx(own, abs=2e-4)
    lengths = {len(beam.tokens) for beams in ours for beam in beams}
    assert len(lengths) > 1 or decoding.beam_groups == decoding.beams


class Ending:
    """A model that likes to end its captions, after every other token."""

    def __init__(self, model):
        self.model = model
        self.eos, self.encode, self.prepare = [3], model.encode, model.prepare

    def unconditional(self, features):
        return self.model.unconditional(features)

    def start(self, features):
        logits, state = self.model.start(features)
        return self._ending(logits), state

    def step(self, tokens, state):
        return self._ending(self.model.step(tokens, state))

    def _ending(self, logits):
        highest, best = logits.max(dim=1)
        logits = logits.clone()
        logits[:, 3] = highest + torch.where(best % 2 == 0, 0.2, -5)
        return logits


# What all strategies promise


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("load", ["blip", "blip2"], indirect=True)
def test_captions_do_not_depend_on_batch_or_order(load, images, uids, strategy):
    decoding = STRATEGIES[strategy]
    check_batches_and_order(load, decoding, images, uids)


def test_captions_of_coca_do_not_depend_on_batch_or_order(request, images, uids, tmp_path):
    """Its prefixes are reordered in place of a cache."""
    folder = request.getfixturevalue("coca_folder")

    def load(decoding, **options):
        return load_captioner(source_of("coca", folder, decoding, **options), tmp_path)

    for name in ("beams guided", "nucleus"):
        check_batches_and_order(load, {**STRATEGIES[name], "max_tokens": 5}, images, uids)


@pytest.mark.parametrize("family", ["blip2_t5", "git", "florence2", "qwen2_vl"])
def test_captions_of_every_kind_of_state_do_not_depend_on_batch_or_order(
    folder_of, images, uids, family, tmp_path
):
    """A cache and what an encoder read, one with the image in it, one of single prompts."""

    def load(decoding, **options):
        source = source_of(family, folder_of(family), decoding, **options)
        return load_captioner(source, tmp_path)

    guided = {} if family == "qwen2_vl" else {"guidance_scale": 1.5}
    check_batches_and_order(load, {**DIVERSE, **guided}, images, uids)


def test_guidance_of_a_chat_model_is_refused(folder_of, tmp_path):
    source = source_of("qwen2_vl", folder_of("qwen2_vl"), {"guidance_scale": 2.0})
    with pytest.raises(ModelFileError, match=r"guidance_scale is 2\.0.*leave guidance_scale at 1"):
        load_captioner(source, tmp_path)


def check_batches_and_order(load, decoding, images, uids):
    candidates = 1 if decoding.get("strategy") == "greedy" else 2
    captioner = load(decoding, candidates=candidates)
    if getattr(captioner.model, "vocabulary", 0) == 45:
        captioner.model.eos = MANY_ENDS
    images, uids = images[:6], uids[:6]
    whole = captioner.caption(images, uids)
    assert len({caption.text for row in whole for caption in row}) > 1
    order = [5, 2, 4, 0, 1, 3]
    for batch_size in (1, 9):
        other = load(decoding, candidates=candidates, batch_size=batch_size)
        other.model.eos = captioner.model.eos
        permuted = other.caption([images[n] for n in order], [uids[n] for n in order])
        assert permuted == [whole[n] for n in order]


@pytest.mark.parametrize("changes", [PLAIN, DIVERSE])
@pytest.mark.parametrize("load", ["blip", "blip2"], indirect=True)
def test_candidates_are_the_best_beams_and_differ(load, images, uids, changes):
    best = load(changes).caption(images, uids)
    several = load(changes, candidates=3).caption(images, uids)
    assert [row[:1] for row in several] == best
    for row in several:
        found = [caption.text for caption in row if caption.status != "error"]
        assert len(found) == len(set(found))
        assert {c.reason for c in row if c.status == "error"} <= {NO_OTHER_BEAM}
    assert len([c for row in several for c in row if c.status != "error"]) > len(images)


@pytest.mark.parametrize("load", ["blip", "blip2"], indirect=True)
def test_groups_write_more_different_words_than_one_search(load, images, uids):
    """What diverse beam search is for."""

    def distinct(changes):
        rows = load({**changes, "max_tokens": 6}, candidates=4).caption(images, uids)
        return np.mean([len({w for c in row for w in c.text.split()}) for row in rows])

    together = {**PLAIN, "beams": 4}
    apart = {**together, "beam_groups": 4, "diversity_penalty": 3.0}
    assert distinct(apart) > distinct(together)


@pytest.mark.parametrize("load", ["blip"], indirect=True)
def test_no_beams_for_no_images(load):
    assert load(PLAIN).caption([], []) == []


class Spelling:
    """A model that offers three tokens, the last one the end, whatever it reads."""

    device = torch.device("cpu")
    eos = (2,)
    vocabulary = 3
    room = 9

    class State:
        def select(self, rows):
            self.n = len(rows)

    def start(self, features):
        return self.step(torch.zeros(len(features)), None), self.State()

    def step(self, tokens, state):  # noqa: ARG002 - what it reads changes nothing
        return torch.tensor([0.5, 0.3, 0.2]).log().expand(len(tokens), -1)

    def text(self, tokens):
        return " ".join("ab"[token] for token in tokens)


def captions_of(decoding, candidates):
    decoding = Decoding(**{"strategy": "beams", "min_tokens": 0, "max_tokens": 9, **decoding})
    return CaptionWriter(Spelling(), decoding, candidates).write(torch.zeros(8, 1, 1), [b"u"], 1)


def test_fewer_captions_than_beams_are_told_apart_from_captions():
    """At one token there are three captions: empty, a and b."""
    ((a, b, empty, missing),) = captions_of({"beams": 4, "max_tokens": 1}, 4)
    assert (a.text, a.status, b.text, empty.status) == ("a", "truncated", "b", "empty")
    assert (missing.text, missing.status, missing.reason) == ("", "error", NO_OTHER_BEAM)
    assert a.log_probability == pytest.approx(np.log(0.5))


def test_the_same_caption_of_two_groups_is_one_candidate():
    decoding = {"beams": 2, "beam_groups": 2, "diversity_penalty": 1e-3, "max_tokens": 2}
    ((first, second),) = captions_of({**decoding, "min_tokens": 2}, 2)
    assert (first.text, second.reason) == ("a a", NO_OTHER_BEAM)


def test_the_length_penalty_weighs_short_against_long():
    """Sums favour the empty caption (0.2) over two tokens (0.25 x 0.2); means favour the long."""
    decoding = {"beams": 3, "max_tokens": 4}
    ((short,),) = captions_of({**decoding, "length_penalty": 0.0}, 1)
    ((long,),) = captions_of({**decoding, "length_penalty": 1.0}, 1)
    assert (short.n_tokens, long.text) == (0, "a a a a")


def test_more_candidates_than_beams_are_refused():
    with pytest.raises(ValueError, match="candidates is 5, and 4 beams"):
        captions_of({"beams": 4}, 5)


def test_a_model_without_a_pass_without_image_is_named():
    with pytest.raises(ModelFileError, match=r"guidance_scale is 2\.0.*Spelling does not have"):
        captions_of({"beams": 2, "guidance_scale": 2.0}, 1)


def test_logits_that_are_not_numbers_are_an_error(monkeypatch):
    monkeypatch.setattr(
        Spelling, "step", lambda _self, tokens, _state: torch.full((len(tokens), 3), torch.nan)
    )
    with pytest.raises(FloatingPointError, match="precision float32"):
        captions_of({"beams": 2}, 1)


def test_beams_leave_the_images_keys_and_values_where_they_are(load, images):
    """Reordering captions within their image is the same as selecting rows of the whole state."""
    model = load({}).model
    features = features_of(model, images[:1]).expand(8, -1, -1)
    tokens = torch.arange(8) + 5
    rows = torch.tensor([3, 3, 0, 1, 7, 6, 5, 5])
    with torch.inference_mode():
        (_, first), (_, second) = model.start(features), model.start(features)
        assert isinstance(first, ReorderableState)
        model.step(tokens, first), model.step(tokens, second)
        first.reorder(rows), second.select(rows)
        assert torch.equal(model.step(tokens, first), model.step(tokens, second))
