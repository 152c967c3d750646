"""Conversations as tar shards, as DataComp-VLM publishes its mixtures."""

import json
from collections.abc import Iterator
from typing import ClassVar, Literal, cast

from recap_assets.exports.facts import code
from recap_assets.exports.kinds.conversations.counts import counts_name
from recap_assets.exports.kinds.conversations.forms import ConversationForm
from recap_assets.exports.kinds.conversations.sharegpt import sharegpt_turns
from recap_assets.exports.kinds.conversations.spec import ConversationsSpec
from recap_assets.exports.samples import Sample
from recap_assets.exports.tars import add_member, end_of_tar
from recap_assets.storage.folders import Folder, WrittenFile


class ConversationTarsExport(ConversationsSpec):
    """Conversations in tars of images and JSON, flat as DataComp-VLM's: read by webdataset."""

    example = """\
dcvlm: {mix: raw_top30_blip2_filtered, to: conversation_tars, tokens: 200000000}
"""

    tags: ClassVar = ("conversations", "webdataset")
    file_patterns: ClassVar = (
        r"shards/\d{6,8}\.tar",
        r"records/\d{8}\.json",
        r"counts/\d{6,8}\.json",
        r"tokens\.json",
    )

    to: Literal["conversation_tars"]

    def form(self) -> "ConversationTars":
        """A tar each."""
        return ConversationTars(self.parts, self.seed, self.image_tokens)

    def how_to_read(self, folder: str) -> str:
        """By webdataset, and what is built on it."""
        example = code(
            "import glob, json, webdataset\n"
            f'tars = sorted(glob.glob("{folder}/**/shards/*.tar", recursive=True))\n'
            'for sample in webdataset.WebDataset(tars, shardshuffle=False).decode("pil"):\n'
            '    turns, image = sample["json"]["conversations"], sample.get("jpg")'
        )
        return f"By webdataset; a conversation without an image has only its `.json`:\n\n{example}"


class ConversationTars(ConversationForm):
    """`shards/000012.tar`, with `KEY.jpg` and `KEY.json` for each conversation."""

    def shard_name(self, number: int) -> str:
        """As DataComp-VLM numbers them."""
        return f"shards/{number:06d}.tar"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one tar, a sample at a time, and what it counts."""
        name, counts = self.shard_name(number), self.counts()
        with folder.writing(name) as file:
            for sample in samples:
                conversation = self.conversation(sample)
                if conversation.with_image:
                    image = cast(bytes, sample.image)
                    add_member(file, f"{sample.key}.{sample.extension}", image)
                entry = {
                    "id": sample.key,
                    "conversations": sharegpt_turns(conversation),
                    "part": conversation.part,
                    "source": sample.row["source"],
                    "tokens": counts.add(conversation),
                }
                content = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode()
                add_member(file, f"{sample.key}.json", content)
            file.write(end_of_tar(file.n_bytes))
        counted = folder.write(counts_name(f"{number:06d}"), counts.as_json())
        return [file.written(name), counted]
