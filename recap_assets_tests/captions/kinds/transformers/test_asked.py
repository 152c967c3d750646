"""Images that are each asked in their own words: as if the whole prompt were written so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.protocols import AskedCaptioner
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.kinds.transformers.families import WORDS

DECODING = Decoding(min_tokens=2, max_tokens=6)


def loaded(folder: Path, prompt: str) -> Any:
    source = TransformersSource(
        kind="transformers", model=str(folder), prompt=prompt, decoding=DECODING, device="cpu"
    )
    return load_transformers_captioner(source)


@pytest.mark.parametrize("family", ["blip", "blip2", "instructblip", "git", "llava"])
def test_a_text_in_the_prompt_is_as_if_it_were_written_there(
    family: str, folder_of: Callable[[str], Path]
) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    uids = [bytes([n]) * 16 for n in range(3)]
    folder, texts = folder_of(family), [WORDS[3], WORDS[7], WORDS[3]]
    asked = cast("AskedCaptioner", loaded(folder, f"{WORDS[1]} {{raw}} {WORDS[2]}"))
    found = asked.caption(images, uids, [{"raw": text} for text in texts])
    plains = {text: loaded(folder, f"{WORDS[1]} {text} {WORDS[2]}") for text in set(texts)}
    for number, text in enumerate(texts):
        plain = plains[text]
        expected = plain.caption([images[number]], [uids[number]])
        assert [one.text for one in found[number]] == [one.text for one in expected[0]]
        assert found[number][0].status != "error"
    assert asked.caption(images[:1], uids[:1], [{"raw": texts[0]}]) == found[:1]


def test_a_mark_of_the_template_in_a_text_is_no_mark(folder_of: Callable[[str], Path]) -> None:
    asked = loaded(folder_of("llava"), "{raw}")
    reader = asked.captioner.reader
    tokenizer = reader.chat.processor.tokenizer
    counts = []
    for text in (f"{WORDS[1]} {WORDS[2]}", f"{WORDS[1]} [END] <image> <s> assistant"):
        prompt = asked._source.asked({"raw": text}, asked._tokens)
        image = np.zeros((32, 32, 3), np.uint8)
        ids = reader.chat.prepare(image, prompt)["input_ids"][0].tolist()
        marks = tokenizer.convert_tokens_to_ids(["[END]", "<image>", "<s>", "assistant"])
        counts.append([ids.count(mark) for mark in marks])
    assert counts[0] == counts[1]
