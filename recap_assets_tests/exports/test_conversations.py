"""Conversations, as nanoVLM's and LLaVA's loaders read them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest
import webdataset
from PIL import Image
from pydantic import ValidationError

from recap_assets.exports.kinds.conversations.turns import Part, conversation_of
from recap_assets.graph.project import Project
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.exports.exported_pools import exported, pairs_of
from recap_assets_tests.exports.samples import sharded, uid_of
from recap_assets_tests.tiny import tiny_experiment

PARTS: dict[str, Any] = {
    "captioning": {"share": 2, "turns": [{"user": ["Describe it.", "What is this?"]}]},
    "instruction": {
        "share": 1,
        "turns": [
            {"user": "What does a page say of it?", "assistant": "{raw}"},
            {"user": "And what is in it?", "assistant": "{blip2}, or: {text}"},
        ],
    },
    "text": {"share": 1, "image": False, "turns": [{"user": "Shorten: {text}"}]},
}


def row(number: int, text: str = "a dog", **sources: str) -> dict[str, Any]:
    captions = [
        {"source": source, "candidate": 0, "text": said, "score": None}
        for source, said in sources.items()
    ]
    return {"uid": uid_of(number), "k": 0, "text": text, "captions": captions}


def parts_of(written: dict[str, Any]) -> dict[str, Part]:
    return {name: Part.model_validate(part) for name, part in written.items()}


def messages_of(item: dict[str, Any]) -> list[tuple[str, str]]:
    """What nanoVLM's VQADataset makes of a row."""
    found = []
    for text in item["texts"]:
        found += [("user", text["user"]), ("assistant", text["assistant"])]
    return found


def test_nanovlm_reads_images_and_turns(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path / "out", "each", "conversations", parts=PARTS)
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    assert len(read) == done.written.n_samples > 20
    texts = Counter(pairs_of(project, "each")["text"].to_list())
    for item in read:
        images, said = item["images"], messages_of(item)
        assert len(images) == (item["part"] != "text")
        assert all(isinstance(image, Image.Image) for image in images)
        assert [role for role, _ in said] == ["user", "assistant"] * (len(said) // 2)
        assert len(said) == (4 if item["part"] == "instruction" else 2)
        if item["part"] == "captioning":
            assert said[0][1] in ("Describe it.", "What is this?")
            assert said[1][1] in texts
        if item["part"] == "text":
            assert said[0][1] == f"Shorten: {said[1][1]}"
    # Without the card the files say by themselves what their columns are.
    files = str(tmp_path / "out/data/*.parquet")
    bare = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    assert bare.features == read.features
    told = json.loads((tmp_path / "out" / "tokens.json").read_text())
    assert {name: one["samples"] for name, one in told["parts"].items()} == Counter(read["part"])
    assert sum(one["tokens"] for one in told["parts"].values()) == sum(read["tokens"])
    assert sum(told["tokens_by_shard"].values()) == sum(read["tokens"])


def test_llava_reads_a_list_beside_its_images(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path, "each", "llava", parts=PARTS, image_tokens=576)
    lists = sorted(tmp_path.glob("0*.json"))
    entries = [entry for path in lists for entry in json.loads(path.read_text())]
    assert len(lists) > 1
    assert len(entries) == done.written.n_samples
    assert len({entry["id"] for entry in entries}) == len(entries)
    shown = [entry for entry in entries if "image" in entry]
    assert 0 < len(shown) < len(entries)
    for entry in entries:
        said = entry["conversations"]
        assert [turn["from"] for turn in said] == ["human", "gpt"] * (len(said) // 2)
        places = [turn["value"].count("<image>") for turn in said]
        assert places == [int("image" in entry), *[0] * (len(said) - 1)]
    for entry in shown:
        assert entry["conversations"][0]["value"].startswith("<image>\n")
        with Image.open(tmp_path / entry["image"]) as image:
            image.load()
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("images/*/*")}
    assert files == {entry["image"] for entry in shown}


def test_parts_come_in_their_shares_and_are_of_the_sample_alone() -> None:
    rows = [row(number, raw="a page", blip2="a dog on grass") for number in range(4_000)]
    parts = parts_of(PARTS)
    found = [conversation_of(one, parts, 7) for one in rows]
    shares = Counter(one.part for one in found)
    assert shares["captioning"] == pytest.approx(2_000, abs=120)
    assert shares["instruction"] == pytest.approx(1_000, abs=120)
    assert shares["text"] == pytest.approx(1_000, abs=120)
    prompts = Counter(one.turns[0][0] for one in found if one.part == "captioning")
    assert prompts["Describe it."] == pytest.approx(1_000, abs=120)
    assert [conversation_of(one, parts, 7) for one in reversed(rows)] == found[::-1]
    assert [conversation_of(one, parts, 8) for one in rows] != found
    again = [conversation_of({**one, "k": 1}, parts, 7).part for one in rows]
    assert again != [one.part for one in found], "each pair of an image is drawn"


def test_a_part_whose_source_has_no_text_is_drawn_for_no_such_image() -> None:
    found = {conversation_of(row(n, raw="a page"), parts_of(PARTS), 0).part for n in range(200)}
    assert found == {"captioning", "text"}


def test_a_text_is_neither_the_place_of_an_image_nor_a_template() -> None:
    hostile = "<image> {raw} <image>\n{text}"
    parts = parts_of({"one": {"share": 1, "turns": [{"user": "Say: {text}", "assistant": "{raw}"}]},
                      "all": PARTS["captioning"]})  # fmt: skip
    for number in range(20):
        found = conversation_of(row(number, hostile, raw=hostile), parts, 0)
        for said in (one for turn in found.turns for one in turn):
            assert "<image>" not in said
            assert said.count("{raw}") == said.count(" {raw} ")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"one": PARTS["instruction"]}, "one at least must name no text"),
        ({"one": {"share": 0}}, "greater than 0"),
        ({"one": {"share": 1, "turns": [{"user": "{a b}"}]}}, "{a b} names nothing"),
        ({"one": {"share": 1, "turns": [{"user": "<image> what?"}]}}, "leave it out"),
        ({"one": {"share": 1, "turns": []}}, "at least 1 item"),
    ],
)
def test_parts_that_cannot_be_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        sharded("conversations", parts=parts)


def test_a_source_that_is_none_is_named() -> None:
    turns = [{"user": "{nobody}", "assistant": "{text}"}]
    parts = {"all": PARTS["captioning"], "one": {"share": 1, "turns": turns}}
    export = {"mix": "raw", "to": "llava", "parts": parts}
    with pytest.raises(
        ExperimentError, match=r"exports\.e\.parts\.one\.turns\.0: there is no 'nob"
    ):
        tiny_experiment(exports={"e": export}, mixes={"raw": [{"use": "raw"}]}, report={})


def test_webdataset_reads_tars_of_conversations(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path, "each", "conversation_tars", parts=PARTS)
    tars = sorted(str(path) for path in tmp_path.glob("shards/*.tar"))
    assert len(tars) > 1
    assert tars[0].endswith("shards/000000.tar")
    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert len(read) == done.written.n_samples
    counted = Counter[str]()
    for sample in read:
        told = sample["json"]
        counted[told["part"]] += told["tokens"]
        assert told["id"] == sample["__key__"]
        images = [value for value in sample.values() if isinstance(value, Image.Image)]
        places = [turn["value"].count("<image>") for turn in told["conversations"]]
        assert sum(places) == len(images) == (told["part"] != "text")
    totals = json.loads((tmp_path / "tokens.json").read_text())["parts"]
    assert {name: one["tokens"] for name, one in totals.items()} == counted


@pytest.mark.parametrize("to", ["conversations", "llava", "conversation_tars"])
def test_a_budget_lists_shards_that_fit_into_it(project: Project, tmp_path: Path, to: str) -> None:
    whole = exported(project, tmp_path / "all", "each", to, parts=PARTS, samples_per_shard=4)
    by_shard = json.loads((tmp_path / "all" / "tokens.json").read_text())["tokens_by_shard"]
    total = sum(by_shard.values())
    chosen: list[set[str]] = []
    for budget in (total // 2, total, 10 * total, 1):
        options = {"parts": PARTS, "samples_per_shard": 4, "tokens": budget}
        done = exported(project, tmp_path / str(budget), "each", to, **options)
        told = json.loads((tmp_path / str(budget) / "budget.json").read_text())
        taken = {Path(shard).stem: by_shard[Path(shard).stem] for shard in told["shards"]}
        assert told["tokens"] == sum(taken.values()) <= budget
        assert told["tokens_of_all_shards"] == total
        assert all(sum(taken.values()) + by_shard[one] > budget for one in by_shard - taken.keys())
        assert all((tmp_path / str(budget) / shard).is_file() for shard in told["shards"])
        assert done.written.files.keys() >= whole.written.files.keys() - {"README.md"}
        chosen.append(set(taken))
    assert 0 < len(chosen[0]) < len(by_shard)
    assert chosen[1] == chosen[2] == by_shard.keys()
    assert not chosen[3]


def test_another_budget_decides_no_shard() -> None:
    small, large = (sharded("conversation_tars", tokens=tokens) for tokens in (10, 10**9))
    assert small.decides(*small.only_beside) == large.decides(*large.only_beside)
    assert small.decides() != large.decides()
