"""The small rewriter: it learns to fuse, and a row's text depends on no other row."""

import numpy as np
import pytest

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.small.loading import load_small_rewriter
from recap_assets.specs.decoding import Decoding
from recap_assets.training.corpora.kind import TextRow
from recap_assets.training.models.kinds.rewriter import TrainedRewriter
from recap_assets.training.models.kinds.rewriter.engine import train_rewriter

COLOURS = ("red", "green", "blue", "white", "pink", "teal")
THINGS = ("car", "dog", "hat", "cup", "pear", "boat")
SPEC = TrainedRewriter(
    kind="rewriter", corpus="c", samples_seen=3_200, batch_size=32, width=64, layers=1,
    input_tokens=8, output_tokens=12,
)  # fmt: skip
GREEDY = Decoding(strategy="greedy", min_tokens=2, max_tokens=10)


def rows(n, seed=0, held_out=False):
    """What web texts and captions say, one in six combinations held out."""
    rng = np.random.default_rng(seed)
    made = []
    while len(made) < n:
        c, t = rng.integers(len(COLOURS)), rng.integers(len(THINGS))
        if (c == t) == held_out:
            raw, caption = f"sale {THINGS[t]} {rng.integers(90)}", f"something {COLOURS[c]}"
            made.append(TextRow((raw, caption), f"a {COLOURS[c]} {THINGS[t]}"))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewriter")
    train_rewriter(("raw", "a"), rows(400), SPEC).save(folder)
    return folder


def rewritten(folder, some, decoding=GREEDY, batch_size=64, order=None):
    order = np.arange(len(some)) if order is None else order
    inputs = [dict(zip(("raw", "a"), some[n].inputs, strict=True)) for n in order]
    uids = [int(n).to_bytes(16, "big") for n in order]
    texts = load_small_rewriter(folder, decoding, batch_size=batch_size, device="cpu").rewrite(
        inputs, uids
    )
    return [texts[np.flatnonzero(order == n)[0]][0] for n in range(len(some))]


def test_it_fuses_what_both_inputs_say_in_combinations_that_it_never_saw(folder):
    held_out = rows(30, seed=9, held_out=True)
    right = [
        caption.text == row.output
        for caption, row in zip(rewritten(folder, held_out), held_out, strict=True)
    ]
    assert np.mean(right) > 0.6, "chance is 1 in 36"


def test_a_row_has_the_same_text_in_any_batch_and_order(folder):
    some = rows(19, seed=4)
    sampled = Decoding(min_tokens=2, max_tokens=10, seed=3)
    alone = rewritten(folder, some, sampled, batch_size=1)
    order = np.random.default_rng(0).permutation(19)
    assert rewritten(folder, some, sampled, batch_size=16, order=order) == alone


def test_a_missing_input_is_empty_and_an_unknown_one_is_refused(folder):
    rewriter = load_small_rewriter(folder, GREEDY, device="cpu")
    bare = {"raw": "sale car 3", "a": ""}
    one, other = rewriter.rewrite([bare, {"raw": "sale car 3"}], [b"1", b"1"])
    assert one == other
    with pytest.raises(ModelFileError, match="reads raw, a, and no 'title'"):
        rewriter.rewrite([{"title": "x"}], [b"1"])
    with pytest.raises(ModelFileError, match="guidance_scale is 2"):
        load_small_rewriter(folder, GREEDY.model_copy(update={"guidance_scale": 2.0}), device="cpu")
