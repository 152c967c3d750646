"""Conversations as a list in JSON beside image files, as LLaVA has them."""

import json
from collections.abc import Iterator
from typing import ClassVar, Literal, cast

from recap_assets.exports.facts import code
from recap_assets.exports.kinds.conversations.counts import counts_name
from recap_assets.exports.kinds.conversations.forms import ConversationForm
from recap_assets.exports.kinds.conversations.sharegpt import sharegpt_turns
from recap_assets.exports.kinds.conversations.spec import ConversationsSpec
from recap_assets.exports.kinds.conversations.turns import Conversation
from recap_assets.exports.samples import Sample
from recap_assets.storage.folders import Folder, WrittenFile


class LlavaExport(ConversationsSpec):
    """Conversations in LLaVA's JSON, with the images as files beside it."""

    example = """\
llava: {mix: raw_top30_blip2_filtered, to: llava, image_tokens: 576}
"""

    tags: ClassVar = ("conversations", "json")
    file_patterns: ClassVar = (
        r"\d{8}\.json",
        r"images/\d{8}/[^/]+",
        r"records/\d{8}\.json",
        r"counts/\d{8}\.json",
        r"tokens\.json",
    )
    has_few_files: ClassVar[bool] = False

    to: Literal["llava"]

    def form(self) -> "LlavaLists":
        """A list of conversations each."""
        return LlavaLists(self.parts, self.seed, self.image_tokens)

    def how_to_read(self, folder: str) -> str:
        """By LLaVA's train.py and those that took its arguments."""
        arguments = code(f"--data_path {folder}/00000000.json --image_folder {folder}", "bash")
        return f"By LLaVA's `train.py`, a folder of shards each:\n\n{arguments}"


class LlavaLists(ConversationForm):
    """`00000012.json`, a list of conversations, and its images below `images/00000012`."""

    def shard_name(self, number: int) -> str:
        """The list's file."""
        return f"{number:08d}.json"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the images and then the list, an entry at a time."""
        files, counts, name = list[WrittenFile](), self.counts(), self.shard_name(number)
        with folder.writing(name) as file:
            file.write(b"[")
            for place, sample in enumerate(samples):
                conversation = self.conversation(sample)
                counts.add(conversation)
                image = f"images/{number:08d}/{sample.key}.{sample.extension}"
                if conversation.with_image:
                    content = cast(bytes, sample.image)
                    files.append(folder.write(image, content, sync=False))
                entry = _entry(sample, conversation, image)
                file.write((",\n" if place else "\n").encode() + entry)
            file.write(b"\n]\n")
        counted = folder.write(counts_name(f"{number:08d}"), counts.as_json())
        return [*files, file.written(name), counted]


def _entry(sample: Sample, conversation: Conversation, image: str) -> bytes:
    shown_image = {"image": image} if conversation.with_image else {}
    turns = sharegpt_turns(conversation)
    entry = {"id": sample.key, **shown_image, "conversations": turns, "part": conversation.part}
    return json.dumps(entry, ensure_ascii=False).encode()
