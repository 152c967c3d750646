"""Every number that something is made by has an upper bound, and none asks for more than can be."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.pool.kinds.embedded import EmbeddedPool
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, parse_experiment

UNBOUNDED = {
    "seed",  # a name of a random stream, whatever its size
    "attempt",
    "shuffle",
    "at_least",
    "at_most",
    "min_similarity",
}
"""Numbers that nothing is made by."""


def test_a_billion_samples_are_refused_before_any_is_planned() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1000000"):
        EmbeddedPool(kind="embedded", samples=10**9)
    with pytest.raises(ValidationError, match=r"1,000,000 shards .* at most 10,000"):
        EmbeddedPool(kind="embedded", samples=10**6, samples_per_shard=1)


def numbers_without_a_bound(schema: dict[str, Any], name: str) -> list[str]:
    """Fields of a JSON schema's object that take a whole number of any size."""
    found: list[str] = []
    for field, told in schema.get("properties", {}).items():
        branches = [told, *told.get("anyOf", []), told.get("items", {})]
        unbounded = any(
            branch.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & branch.keys()
            for branch in branches
        )
        if unbounded and field not in UNBOUNDED:
            found.append(f"{name}.{field}")
    return found


COMPARED_ONLY = {
    # Thresholds: a value is compared with them, nothing is made.
    "BasicFilter.more_than_words",
    "BasicFilter.more_than_characters",
    "BasicFilter.min_side",
    "CaptionRule.more_than_tokens",
    "CaptionRule.more_than_characters",
    "Balanced.per_cluster",
    "ConversationTarsExport.image_tokens",
    "ConversationTarsExport.max_characters",
    "ConversationsExport.image_tokens",
    "ConversationsExport.max_characters",
    "EntriesSet.t",
    "Frequency.frequent_ngrams",
    "Frequency.images_per_text",
    "Frequency.max_words",
    "Frequency.min_words",
    "Frequency.texts_per_image",
    "LlavaExport.image_tokens",
    "LlavaExport.max_characters",
    # Seeds are names; their number is bounded.
    "InProcessTraining.seeds",
    "TorchrunTraining.seeds",
}


def test_every_whole_number_of_an_experiment_has_an_upper_bound() -> None:
    definitions = Experiment.model_json_schema()["$defs"]
    found = [f for name, one in definitions.items() for f in numbers_without_a_bound(one, name)]
    assert set(found) <= COMPARED_ONLY


@pytest.mark.parametrize("value", ["x" * 70_000, {"a": ["b" * 100] * 700}])
def test_what_goes_with_every_request_is_small(value: Any) -> None:
    with pytest.raises(ValidationError, match="more than 65,536 characters"):
        OpenAISource(kind="openai", model="m", extra_body={"more": value})


def test_aliases_that_unfold_to_a_billion_are_refused_before_they_are_copied() -> None:
    value: Any = "lol"
    for _ in range(30):
        value = [value] * 9
    with pytest.raises(ValidationError) as raised:
        OpenAISource(kind="openai", model="m", extra_body={"more": value})
    (told,) = raised.value.errors(include_input=False)  # which would be written out
    assert "more than 65,536 characters" in told["msg"]


def test_the_models_are_those_that_are_looked_at() -> None:
    assert issubclass(EmbeddedPool, BaseModel)
    assert "EmbeddedPool" in Experiment.model_json_schema()["$defs"]


@pytest.mark.parametrize(
    "shards",
    ["https://me:hunter2@host/pool", "s3://b/p?X-Amz-Signature=00ff", "az://b/p?password=hunter2"],
)
def test_a_password_has_no_place_in_an_experiment(shards: str) -> None:
    given = {"name": "x", "pool": {"kind": "webdataset", "shards": shards}}
    with pytest.raises(ExperimentError, match=r"pool\.shards: a password, key or token") as raised:
        parse_experiment(given)
    assert "hunter2" not in str(raised.value)
