"""Chat templates: the text that transformers would make of them, or a clear end."""

import time

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders import templates
from recap_assets.engines.model_folders.templates import literal, render_template
from recap_assets_tests.captions.kinds.transformers.families import TEMPLATE

MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "image", "image": "<Image>"}, {"type": "text", "text": 'Say "é".'}],
    }
]


def test_the_prompt_is_that_of_transformers_and_stays_as_a_literal() -> None:
    template = TEMPLATE + "{{ bos_token }}{% if enable_thinking %}think{% endif %}\n{{ '\\n\\t' }}"
    options = {"bos_token": "<s>", "enable_thinking": False}
    prompt = render_template("m", template, MESSAGES, options)
    [expected], _ = render_jinja_template(
        [MESSAGES], chat_template=template, add_generation_prompt=True, **options
    )
    assert prompt == expected
    assert render_jinja_template([[]], chat_template=literal(prompt))[0] == [prompt]


@pytest.mark.parametrize(
    "prompt", ["", '"{{ x }}"\\', "{% raw %}", "\U0001f6a4 é\n\r\t\0 'q'", "}}"]
)
def test_a_literal_says_just_its_text(prompt: str) -> None:
    assert render_jinja_template([[]], chat_template=literal(prompt))[0] == [prompt]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% set a = 'IMAGE ' * 2000000000 %}{{ a }}", "256 MiB of memory"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "SecurityError"),
        ("{{ 'a' * 3000000 }}", "3,000,000 characters"),
        ("{% if %}", "TemplateSyntaxError"),
    ],
)
def test_what_a_template_may_not_do_ends_in_words(template: str, words: str) -> None:
    with pytest.raises(ModelFileError, match=f"^my/model: its chat template.*{words}"):
        render_template("my/model", template, MESSAGES, {})


def test_a_loop_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "SECONDS", 0.5)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    start = time.monotonic()
    with pytest.raises(ModelFileError, match=r"not done in 0\.5 seconds"):
        render_template("m", loop, MESSAGES, {})
    assert time.monotonic() - start < 300
