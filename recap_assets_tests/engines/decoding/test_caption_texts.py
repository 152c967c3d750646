"""What stands around a caption goes, whatever model left it; loops and holes are no captions."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.engines.decoding.caption_texts import (
    NO_WORDS,
    REPEATS_ITSELF,
    UNKNOWN_TOKENS,
    caption_within,
    damage_of,
    thinks,
)

CAT = "a cat on a mat"

MARKED = [
    f"{CAT}</s>",
    f"<s> {CAT}</s>",
    f"{CAT}<|im_end|>",
    f"{CAT}<|im_end|>\n<|im_start|>user\nAnd now?",
    f"<|im_start|>assistant\n{CAT}<|im_end|>",
    f"{CAT}<|endoftext|><|endoftext|>",
    f"{CAT}<|eot_id|>",
    f"<|start_header_id|>assistant<|end_header_id|>\n\n{CAT}<|eot_id|>",
    f"<|assistant|>\n{CAT}<|end|>",
    f"{CAT}<end_of_turn>\n",
    f"<start_of_turn>model\n{CAT}<end_of_turn>",
    f"{CAT}<end_of_utterance>",
    f"<\uff5cAssistant\uff5c>{CAT}<\uff5cend\u2581of\u2581sentence\uff5c>",
    f"[/INST] {CAT}",
    f"<s>[INST] <<SYS>>x<</SYS>> Describe it. [/INST] {CAT} </s>",
    f"{CAT} [end of text]",
    f"[CLS] {CAT} [SEP]",
    f"{CAT}<pad><pad><pad>",
    f"\ufeff{CAT}\u200b",
    "a\u2581cat\u2581on\u2581a\u2581mat",
]
PLACED = [
    "a cat<loc_12><loc_33><loc_500><loc_640> on a mat",
    "<loc0001><loc0002><loc1000><loc1023> a cat on a mat",
    "<ref>a cat</ref><box>(10,20),(30,40)</box> on a mat",
    "<|object_ref_start|>a cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|> on a mat",
    "<grounding> a<phrase> cat</phrase><object><patch_index_0044><patch_index_0863></object>"
    " on a mat",
    f"<|begin_of_box|>{CAT}<|end_of_box|>",
]
SPOKEN = [
    f"<think>I look.\n\nA cat?</think>\n\n{CAT}",
    f"I look at the image first.\n</think>\n\n{CAT}",
    f"One.</think>Two.</think>{CAT}",
    f"<thinking>hm</thinking>\n{CAT}",
    f"◁think▷hm◁/think▷{CAT}",
    f"[THINK]hm[/THINK]{CAT}",
    f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{CAT}"
    "<|return|>",
    f"<think>hm</think><answer>{CAT}</answer>",
]
ROLES = [
    f"assistant\n\n{CAT}",
    f"Assistant: {CAT}",
    f"ASSISTANT: {CAT}",
    f"**Assistant:** {CAT}",
    f"### Assistant: {CAT}",
    f"### Response:\n{CAT}",
    f"model\n{CAT}",
    f"AI: {CAT}",
    f"{CAT}\nUser: And now?\nAssistant: a dog",
    f"{CAT}\n\n### Human: thanks",
]


@pytest.mark.parametrize("said", [*MARKED, *PLACED, *SPOKEN, *ROLES])
def test_what_stands_around_a_caption_goes(said: str) -> None:
    assert caption_within(said) == CAT
    assert damage_of(caption_within(said)) is None


@pytest.mark.parametrize(
    "said", ["", " \n", "</s>", "<|im_end|>", "\u200b\u2060", "\ufeff", "assistant\n", "<pad><pad>"]
)
def test_of_marks_alone_nothing_is_left(said: str) -> None:
    assert caption_within(said) == ""


@pytest.mark.parametrize("said", ["<think>I see and", "<think>I see</think>", "I see.\n</think>\n"])
def test_of_a_thought_alone_nothing_is_left(said: str) -> None:
    assert caption_within(said) == ""
    assert thinks(said)


@pytest.mark.parametrize(
    "text",
    [
        CAT,
        "a <think>ing man</think>",
        "a [red] sign that says <stop> and 3 < 4",
        "a page with <b>bold</b> letters",
        "model train on a track, assistant referee behind it",
        "an assistant: a robot",
        "Model: a Tesla",
        "unused stamps",
        "two lines\nof text",
        '"a quoted caption"',
        "ein Mädchen mit Hut – 猫在垫子上",
        "🐈",
        "$1,000,000,000,000,000",
        "---------- SALE ---------- until Sunday at the old shop",
        "row, row, row, row your boat",
        "a very very very very tall tree",
    ],
)
def test_a_caption_without_such_things_stays_as_it_is(text: str) -> None:
    assert caption_within(text) == text
    assert damage_of(text) is None
    assert not thinks(text)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("!" * 60, NO_WORDS),
        ("...", NO_WORDS),
        ("====\n|---|", NO_WORDS),
        ("\ufffd\ufffd", NO_WORDS),
        ("a hat on top of a hat" + " on top of a hat" * 40, REPEATS_ITSELF),
        ("cat " * 128, REPEATS_ITSELF),
        ("x" * 128, REPEATS_ITSELF),
        ("猫坐在垫子上。" * 12, REPEATS_ITSELF),
        ("A cat sits on the mat and looks at a bird. " * 5, REPEATS_ITSELF),
        ("a photo of " + "the the the " * 30, REPEATS_ITSELF),
        ("<unk>", UNKNOWN_TOKENS),
        ("[unused0] on a mat", UNKNOWN_TOKENS),
        ("a [UNK] on a [UNK]", UNKNOWN_TOKENS),
        ("a <extra_id_0> on a mat", UNKNOWN_TOKENS),
    ],
)
def test_loops_holes_and_marks_of_punctuation_are_no_captions(said: str, reason: str) -> None:
    assert damage_of(caption_within(said)) == reason


def test_a_loop_at_the_end_counts_where_the_bound_ended_it() -> None:
    begun = "a long and careful description of a street with many people and one small dog, "
    looped = begun + "red " * 14
    assert damage_of(looped) is None
    assert damage_of(looped, is_cut=True) == REPEATS_ITSELF
    assert damage_of(begun + begun.upper(), is_cut=True) is None


@given(st.text(st.sampled_from("<>|[]/ \nathink_sINSTuser:box#1{},"), max_size=60))
def test_nothing_is_left_to_do_after_one_pass_and_nothing_is_added(said: str) -> None:
    text = caption_within(said)
    assert set(text) <= set(said) | {" "}
    assert len(text) <= len(said)
    damage_of(text, is_cut=True)


@pytest.mark.parametrize(
    "part",
    ["<|", "<|a|>", "<think>", "</think>", "\n", " \n", "{<1>", "<box>", "<s>", "\nuser", "ab"],
)
def test_a_hostile_text_costs_no_more_than_its_length(part: str) -> None:
    said = part * (200_000 // len(part))
    began = time.process_time()
    damage_of(caption_within(said)[:16_384], is_cut=True)
    assert time.process_time() - began < 30
