"""What counts as a refusal, and which captions only look like one."""

import pytest

from recap_assets.engines.captioning.refusals import DECLINED, NO_IMAGE, refusal_of

_DECLINED = [
    "I'm sorry, but I can't assist with that.",
    "I\u2019m sorry, I can\u2019t help with identifying people in this photo.",
    "I am very sorry, but I am unable to describe this image.",
    "Sorry, I cannot provide a description of the image.",
    "I cannot identify the person in this picture.",
    "I'm not able to help with that request.",
    "I won't describe this content.",
    "**I can't assist with this request.**",
    "I apologize, but I'm unable to view images.",
    "Unfortunately, I am not able to generate a caption.",
    "As an AI language model, I have no eyes.",
    "As an AI, I cannot see pictures.",
    "I must decline to describe it.",
    "  Unable to process the image.",
    "I'm not comfortable describing this image.",
]
_NO_IMAGE = [
    "I don't see an image in your message.",
    "I'm sorry, but I don't see any image attached.",
    "I'm sorry, but there is no image provided.",
    "No image was provided.",
    "It seems that no image was attached.",
    "Please upload an image so that I can describe it.",
]
_CAPTIONS = [
    "",
    "A dog runs over a meadow.",
    "Sorry, we're closed, reads a sign in a shop window.",
    "I can't believe it's not butter, a yellow tub of spread",
    "A poster that says: I'm sorry, I can't help you.",
    "I am sorry card with flowers",
    "A robot with the words As an AI language model on its chest",
    "Unfortunately named street sign in a village",
    "No image of the moon is as sharp as this one",
    "Please provide feedback, says a form on a table.",
    "I see a cat that cannot reach the shelf to help itself.",
    "A woman can't see the camera. I cannot describe her mood.",
]


@pytest.mark.parametrize("text", _DECLINED)
def test_a_model_that_declines_is_told(text):
    assert refusal_of(text) == DECLINED


@pytest.mark.parametrize("text", _NO_IMAGE)
def test_a_model_that_sees_no_image_is_told(text):
    assert refusal_of(text) == NO_IMAGE


@pytest.mark.parametrize("text", _CAPTIONS)
def test_a_caption_is_no_refusal(text):
    assert refusal_of(text) is None


def test_only_the_beginning_is_read_and_in_linear_time():
    assert refusal_of("A dog. " * 100 + "I'm sorry, but I can't assist with that.") is None
    assert refusal_of("sorry " * 100_000) is None
    assert refusal_of("i'm " + "very " * 100_000) is None
