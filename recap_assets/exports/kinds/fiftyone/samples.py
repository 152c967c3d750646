"""One image with its captions as a document of FiftyOne: MongoDB's extended JSON."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from recap_assets.exports.samples import Row, Sample, ranked_captions, shortest
from recap_assets.storage.folders import Folder, WrittenFile

MIME_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
_PLAIN = ("source", "candidate", "rule", "url", "original_width", "original_height")


def part_name(number: str) -> str:
    """The file of a shard's samples, one a line; paths in it are from the folder that it is in."""
    return f"parts/{number}.jsonl"


class Media:
    """`data/00000012/` with an image file for each sample, and the samples' part of the list."""

    with_images = True
    options: Mapping[str, object] = {}

    def record_name(self, number: int) -> str:
        """Beside the images."""
        return f"records/{number:08d}.json"

    def shard_name(self, number: int) -> str:
        """A folder of its own, since file systems dislike millions of files in one."""
        return f"data/{number:08d}"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the images and then the lines that name them."""
        files = list[WrittenFile]()
        name = part_name(f"{number:08d}")
        with folder.writing(name) as file:
            for sample in samples:
                path = f"{self.shard_name(number)}/{sample.key}.{sample.extension}"
                files.append(folder.write(path, cast(bytes, sample.image), sync=False))
                line = json.dumps(document_of(sample, path), ensure_ascii=False)
                file.write(line.encode() + b"\n")
        return [*files, file.written(name)]


def document_of(sample: Sample, path: str) -> dict[str, object]:
    """What FiftyOne stores of a sample.

    `chosen` is the text that the mix took, `caption_<source>` the best caption of each source with
    its score as the confidence, `score_<source>` that score as a number to filter by, and
    `candidates_<source>` all captions of a source that has several.
    """
    row, digest = sample.row, hashlib.blake2b(sample.key.encode(), digest_size=8).digest()
    return {
        "_id": _id(sample.key),
        "filepath": path,
        "tags": [],
        "metadata": _metadata_of(sample),
        "_media_type": "image",
        # What FiftyOne draws random views by: here a function of the uid.
        "_rand": int.from_bytes(digest) / 2**64,
        "uid": row["uid"].hex(),
        "sha256": row["sha256"].hex() if row["sha256"] else None,
        **{name: row[name] for name in _PLAIN},
        "score": shortest(row["score"]),
        "weight": shortest(row["weight"]),
        **({"copies": row["copies"]} if "copies" in row else {}),
        "mixes": list(row.get("mixes") or ()),
        "chosen": _label(f"{sample.key} chosen", row),
        **_several(sample.key, "texts", row["pairs"]),
        **_captions(sample.key, row),
    }


def _captions(key: str, row: Row) -> dict[str, object]:
    found: dict[str, object] = {}
    for source, ranked in ranked_captions(row).items():
        found[f"caption_{source}"] = _label(f"{key} {source}", ranked[0])
        found[f"score_{source}"] = shortest(ranked[0]["score"])
        found |= _several(key, f"candidates_{source}", ranked)
    return found


def _several(key: str, name: str, those: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """A list of labels, where there are several."""
    labels = [_label(f"{key} {name} {place}", one) for place, one in enumerate(those)]
    if len(labels) < 2:
        return {}
    return {name: {"_cls": "Classifications", "classifications": labels}}


def _label(key: str, caption: Mapping[str, Any]) -> dict[str, object]:
    score = shortest(caption["score"])
    return {
        "_id": _id(key),
        "_cls": "Classification",
        "tags": [],
        "label": caption["text"],
        **({} if score is None else {"confidence": score}),
    }


def _metadata_of(sample: Sample) -> dict[str, object]:
    return {
        "_cls": "ImageMetadata",
        "size_bytes": sample.row["size"],
        "mime_type": MIME_TYPES[sample.extension],
        "width": sample.row["width"],
        "height": sample.row["height"],
    }


def _id(key: str) -> dict[str, str]:
    """An id of MongoDB, the same in each export of the same."""
    return {"$oid": hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}
