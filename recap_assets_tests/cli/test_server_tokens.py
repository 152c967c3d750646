"""What a plan says of tokens and money: measured on what was built, unknown before that."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recap_assets_tests.chat_server import MODEL, Answer, ChatServer, captioned, said
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.pool.test_bad_input import jpeg, uid, write_shard
from recap_assets_tests.tiny import EXPERIMENT

VLM, OF_RAW, OF_VLM = "synthetic_captions/vlm", "clip_scores/judge/raw", "clip_scores/judge/vlm"
N_SHARDS, N_IMAGES = 2, 3
N = N_SHARDS * N_IMAGES


PICTURES = [jpeg(n) for n in range(N)]


def write_texts(folder: Path, number: int, texts: Sequence[str]) -> None:
    """A shard with the same pictures whenever it is written."""
    numbers = range(number * N_IMAGES, (number + 1) * N_IMAGES)
    samples = [(uid(n), PICTURES[n], text) for n, text in zip(numbers, texts, strict=True)]
    write_shard(folder, number, samples)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Of each request 300 tokens asked and 7 answered."""
    found = ChatServer(
        lambda asked: (
            Answer(said('{"fit": 3}')) if "Mark how" in str(asked.body) else captioned(asked)
        )
    )
    yield found
    found.stop()


@pytest.fixture
def path(tmp_path: Path, written: Callable[..., Path], server: ChatServer) -> Path:
    for number in range(N_SHARDS):
        write_texts(tmp_path / "pool", number, [f"boat {n}" for n in range(N_IMAGES)])
    by = {
        "kind": "openai", "model": MODEL, "base_url": server.base_url,
        "price_per_million_prompt_tokens": 1_000, "price_per_million_completion_tokens": 10_000,
    }  # fmt: skip
    return written(
        pool={"kind": "webdataset", "shards": str(tmp_path / "pool"), "shards_per_partition": 1},
        sources={"vlm": by},
        scorers={**EXPERIMENT["scorers"], "judge": {**by, "axes": {"fit": "how well"}}},
        mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
        report={},
    )


def lines_of(output: str, *assets: str) -> list[str]:
    return [
        line for line in output.splitlines() if line.startswith(tuple(f"{a}: " for a in assets))
    ]


def rows_of(output: str, asset: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(output) if row["asset"] == asset]


def test_a_plan_expects_the_tokens_and_the_money_that_were_measured(
    recap: Recap, path: Path, tmp_path: Path, server: ChatServer
) -> None:
    def planned(*words: str, **keys: object) -> str:
        named = {name.replace("__", "."): value for name, value in keys.items()}
        sets = [word for one in named.items() for word in ("--set", "{}={}".format(*one))]
        return recap("-e", path, *sets, "plan", *words).output

    unknown = "tokens unknown: nothing like it was asked before"
    assert lines_of(planned(), VLM, OF_RAW) == [f"{VLM}: {unknown}", f"{OF_RAW}: {unknown}"]
    first = rows_of(planned("--json"), VLM)
    assert [row["expected_prompt_tokens"] for row in first] == [None] * N_SHARDS
    assert [row["expected_cost"] for row in first] == [None] * N_SHARDS

    built = recap("-e", path, "build", "--yes", "--select", VLM, "--select", OF_RAW)
    assert built.exit_code == 0, built.output
    assert f"{VLM}: {unknown}" in built.output
    assert len(server.asked) == 2 * N
    n = 300 * N, 7 * N
    expected = f"about {n[0]:,} tokens to ask, {n[1]} in reply, {(n[0] + n[1] * 10) / 1_000:.2f} "
    # Its texts are there, and what it takes to mark one is known of the other source.
    assert lines_of(planned(), VLM, OF_RAW, OF_VLM) == [
        f"{OF_VLM}: {expected}at the prices of the file"
    ]
    again = planned(sources__vlm__prompt="Again?", scorers__judge__axes='{"other": "how much"}')
    assert lines_of(again, VLM, OF_RAW) == [
        f"{asset}: {expected}at the prices of the file" for asset in (VLM, OF_RAW)
    ]

    # Twice the candidates are twice the tokens, and a provider's batches half the price.
    twice = planned("--json", sources__vlm__candidates="2", sources__vlm__batch="true")
    rows = rows_of(twice, VLM)
    assert [row["expected_prompt_tokens"] for row in rows] == [600 * N_IMAGES] * N_SHARDS
    assert [row["expected_completion_tokens"] for row in rows] == [14 * N_IMAGES] * N_SHARDS
    assert [row["expected_cost"] for row in rows] == [
        pytest.approx((600 + 14 * 10) * N_IMAGES / 1_000 / 2)
    ] * N_SHARDS
    # What asks no server takes none.
    (other, *_) = rows_of(twice, "models/captioner")
    assert (other["expected_prompt_tokens"], other["expected_cost"]) == (0, 0)

    # Of one edited text one mark is asked for, and the others are reused.
    write_texts(tmp_path / "pool", 0, ["boat 0", "another text, of another length", "boat 2"])
    recap("-e", path, "build", "--yes", "--select", "raw_pool")
    (row,) = rows_of(planned("--json"), OF_RAW)
    assert (row["rows_to_compute"], row["rows_to_reuse"]) == (1, N_IMAGES - 1)
    assert (row["expected_prompt_tokens"], row["expected_completion_tokens"]) == (300, 7)
