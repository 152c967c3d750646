"""Conversations as parquet files, as nanoVLM and FineVision have them."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from recap_assets.exports.facts import Curation, Holdings, code
from recap_assets.exports.kinds.conversations.columns import schema
from recap_assets.exports.kinds.conversations.counts import Counts, counts_name
from recap_assets.exports.kinds.conversations.forms import ConversationForm
from recap_assets.exports.kinds.conversations.spec import ConversationsSpec
from recap_assets.exports.samples import Sample, in_groups
from recap_assets.storage.folders import Folder, WrittenFile

ROWS_PER_GROUP = 100


class ConversationsExport(ConversationsSpec):
    """Conversations in parquet, as nanoVLM trains on: FineVision's images and texts."""

    example = """\
vlm: {mix: raw_top30_blip2_filtered, to: conversations}  # for nanoVLM and others
"""

    tags: ClassVar = ("conversations", "parquet")
    file_patterns: ClassVar = (
        r"data/train-\d{8}\.parquet",
        r"records/\d{8}\.json",
        r"counts/train-\d{8}\.json",
        r"tokens\.json",
    )

    to: Literal["conversations"]

    def form(self) -> "ConversationParquets":
        """A parquet file each."""
        return ConversationParquets(self.parts, self.seed, self.image_tokens)

    def how_to_read(self, folder: str) -> str:
        """By nanoVLM."""
        example = code(f'datasets.load_dataset("{folder}", split="train")')
        return (
            f"By nanoVLM, with `train_dataset_path: {folder}`; as any dataset of the Hub's "
            f"library, the same columns as FineVision's:\n\n{example}"
        )

    def card_head(self, held: Holdings, curation: Curation) -> str:  # noqa: ARG002 - of all kinds
        """Where the files are, for the Hub's library."""
        files = [{"split": "train", "path": "**/train-*.parquet"}]
        values = {
            "pretty_name": curation.mix,
            "task_categories": ["image-text-to-text"],
            "configs": [{"config_name": "default", "data_files": files}],
        }
        return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n\n"


class ConversationParquets(ConversationForm):
    """`data/train-00000012.parquet`: images and texts as `datasets` embeds them."""

    def shard_name(self, number: int) -> str:
        """A name from which `datasets` takes the split."""
        return f"data/train-{number:08d}.parquet"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one file, a row group at a time, and what it counts."""
        name, counts = self.shard_name(number), self.counts()
        with folder.writing(name) as file:
            writer = pq.ParquetWriter(file, schema(), compression="zstd", use_dictionary=False)
            for group in in_groups(samples, ROWS_PER_GROUP):
                rows = [self._row(sample, counts) for sample in group]
                writer.write_table(pa.Table.from_pylist(rows, schema()))
            writer.close()
        counted = folder.write(counts_name(f"train-{number:08d}"), counts.as_json())
        return [file.written(name), counted]

    def _row(self, sample: Sample, counts: Counts) -> dict[str, object]:
        conversation = self.conversation(sample)
        image = {"bytes": sample.image, "path": f"{sample.key}.{sample.extension}"}
        return {
            "images": [image] if conversation.with_image else [],
            "texts": [{"user": user, "assistant": told} for user, told in conversation.turns],
            "source": sample.row["source"],
            "part": conversation.part,
            "tokens": counts.add(conversation),
            "uid": sample.row["uid"].hex(),
        }
