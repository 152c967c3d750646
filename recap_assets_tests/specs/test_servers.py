"""A source behind a server is refused in words where it asks for what no server does."""

import copy
import json
from typing import Any

import pytest

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.specs.loading import ExperimentError, parse_experiment
from recap_assets_tests.tiny import EXPERIMENT

VLM = {"kind": "openai", "model": "Qwen/Qwen2.5-VL-3B-Instruct"}


def parsed(**keys: Any) -> OpenAISource:
    content = copy.deepcopy(dict(EXPERIMENT))
    content["sources"]["vlm"] = {**VLM, **keys}
    source = parse_experiment(content).sources["vlm"]
    assert isinstance(source, OpenAISource)
    return source


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"decoding": {"num_beams": 4}}, "sources.vlm.decoding: a server samples (num_beams: it"),
        ({"decoding": {"guidance_scale": 2}}, "cannot guide the decoding"),
        ({"decoding": {"strategy": "greedy"}}, "temperature 0 is greedy"),
        ({"decoding": {"temperature": 3}}, "sources.vlm.decoding.temperature"),
        ({"decoding": {"min_tokens": 50, "max_tokens": 40}}, "min_tokens 50 exceeds max_tokens"),
        ({"decoding": {"temperature": 0}, "candidates": 2}, "would all be the same"),
        ({"base_url": "localhost:8000"}, "write http://HOST:PORT/v1"),
        ({"base_url": "http://me:secret@host/v1"}, "name a key by api_key_env"),
        ({"base_url": []}, "0 addresses; give 1 to 256"),
        ({"base_url": ["http://a/v1", "http://a/v1/"]}, "http://a/v1 is listed twice"),
        ({"base_url": ["http://a/v1", "http://me:secret@b/v1"]}, "name a key by api_key_env"),
        ({"base_url": ["http://a/v1", 7]}, "7 is no address"),
        ({"base_url": [f"http://h{i}/v1" for i in range(257)]}, "257 addresses; give 1 to 256"),
        ({"base_url": 8000}, "an address such as http://HOST:PORT/v1, or a list of them"),
        ({"prompt": "Improve {text"}, "a single { in 'Improve {text'"),
        ({"extra_body": {"seed": 1, "n": 2}}, "n, seed: the source's own keys decide this"),
        ({"price_per_million_prompt_tokens": 1}, "or neither"),
        ({"batch_size": 4}, "unknown key"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        parsed(**keys)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("key", ["sk-proj-4711aBc", "sk_live_4711", "hf 4711"])
def test_a_key_in_the_place_of_its_variable_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ExperimentError, match="name an environment variable") as raised:
        parsed(api_key_env=key)
    assert key not in str(raised.value)
    assert parsed(api_key_env="OPENAI_API_KEY").api_key_env == "OPENAI_API_KEY"


def test_what_decides_a_caption_and_what_does_not() -> None:
    assert set(parsed().decides()) == {
        "kind", "model", "prompt", "system", "decoding", "candidates", "max_pixels",
        "jpeg_quality", "max_tokens_field", "extra_body",
    }  # fmt: skip


def test_cost_is_that_of_both_kinds_of_tokens() -> None:
    assert parsed().cost_of(10, 10) is None
    prices = {
        "price_per_million_prompt_tokens": 2,
        "price_per_million_completion_tokens": 10,
    }
    assert parsed(**prices).cost_of(1_000_000, 500_000) == 7.0


def test_the_address_may_end_in_a_slash() -> None:
    assert parsed(base_url="https://host/v1/").base_url == "https://host/v1"


def test_a_list_of_addresses_is_worth_one_where_it_has_one() -> None:
    assert parsed(base_url=["https://host/v1/"]) == parsed(base_url="https://host/v1")
    two = parsed(base_url=["http://a:8000/v1/", "http://b:8000/v1"], concurrency=8, candidates=2)
    assert two.addresses == ("http://a:8000/v1", "http://b:8000/v1")
    assert (two.under_way, two.at_once) == (16, 8)
    assert two.decides() == parsed(candidates=2).decides()
    assert OpenAISource.model_validate_json(two.canonical()) == two
    wide = parsed(base_url=[f"http://h{i}/v1" for i in range(200)], concurrency=4_096)
    assert wide.under_way == 16_384


def test_more_fields_of_a_request_are_kept_as_they_are() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "stop": ["\n"]}
    assert json.loads(parsed(extra_body=extra).canonical())["extra_body"] == extra
