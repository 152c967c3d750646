"""Reinforced tars: samples with what teachers make of them."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pydantic import PrivateAttr

from recap_assets.engines.protocols import Scorer
from recap_assets.exports.forms import Form
from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.kinds.reinforced.augmentations import (
    Parameters,
    augmented,
    drawn_parameters,
)
from recap_assets.exports.kinds.reinforced.spec import ReinforcedSpec
from recap_assets.exports.kinds.webdataset.tars import Tars
from recap_assets.exports.samples import Sample
from recap_assets.exports.writing import write_whole
from recap_assets.exports.written import Written
from recap_assets.graph.project import Project
from recap_assets.scores.opened import embedder_of
from recap_assets.shards.images import image_facts
from recap_assets.specs.pool import ImageLimits
from recap_assets.storage.folders import Folder

PROBE = "a photograph of a brown dog beside a red chair"
Arrays = Mapping[str, NDArray[np.float32]]


def write_tars(project: Project, export: ReinforcedSpec, folder: Folder) -> Written:
    """Write the samples of all partitions."""
    teachers = [embedder_of(project, name) for name in export.teachers]
    shards = _Shards(
        to="reinforced",
        mix=export.mix,
        captions=export.captioners,
        formats=export.formats,
        samples_per_shard=export.samples_per_shard,
    )
    shards.use(ReinforcedTars(export, teachers, project.experiment.pool.limits))
    return write_whole(project, shards, folder, lambda _n: None)


class _Shards(ShardedExport):
    """The same as an export of shards, with the teachers in its form."""

    to: Literal["reinforced"]
    _form: Form = PrivateAttr()

    def use(self, form: Form) -> None:
        """Write in this form."""
        self._form = form

    def form(self) -> Form:
        """That of the teachers."""
        return self._form

    def how_to_read(self, folder: str) -> str:
        """As the export says."""
        return folder

    def refuses(self) -> Iterator[Refusal]:
        """Images of other formats."""
        return super().refuses()


class ReinforcedTars(Tars):
    """`00000012.tar`: image, `txt`, `json`, `syn.json`, `paug.json` and `npz` of each sample."""

    def __init__(
        self, export: ReinforcedSpec, teachers: Sequence[Scorer], limits: ImageLimits
    ) -> None:
        self._export, self._teachers, self._limits = export, teachers, limits
        drawn = ("augmentations", "rand_augment", "size", "seed", "captioners")
        self.options: Mapping[str, object] = {
            **{field: getattr(export, field) for field in drawn},
            "teachers": [_probed(one) for one in teachers],
        }

    def members(self, sample: Sample) -> Mapping[str, bytes]:
        """Those of any tar, and what the teachers make of them."""
        return {**super().members(sample), **self._reinforcements(sample)}

    def _reinforcements(self, sample: Sample) -> Mapping[str, bytes]:
        texts = self._texts(sample)
        image = _as_loaded(cast(bytes, sample.image), self._limits)
        parameters = drawn_parameters(self._export, sample.key, image.shape[:2])
        arrays = {
            "image_emb": self._embedded_images(image, parameters),
            **self._embedded_texts(sample.row["text"], texts),
        }
        found = {"param_aug": parameters}
        return {"syn.json": _json(texts), "paug.json": _json(found), "npz": _npz(arrays)}

    def _texts(self, sample: Sample) -> Mapping[str, list[str]]:
        """The captions of each captioner, by their key in `syn.json`; the text where is none."""
        captions, captioners = sample.row["captions"] or (), self._export.captioners
        found: dict[str, list[str]] = {}
        for source in captioners:
            key = "syn_text" if len(captioners) == 1 else f"syn_text_{source}"
            found[key] = [one["text"] for one in captions if one["source"] == source]
        with_texts = {key: texts for key, texts in found.items() if texts}
        return with_texts or {next(iter(found)): [sample.row["text"]]}

    def _embedded_images(
        self, image: NDArray[np.uint8], parameters: Sequence[Parameters]
    ) -> NDArray[np.float32]:
        images = [augmented(image, one, self._export.size) for one in parameters]
        return np.hstack([teacher.embed_images(images) for teacher in self._teachers])

    def _embedded_texts(self, text: str, texts: Mapping[str, list[str]]) -> Arrays:
        keys, listed = list(texts), [text, *(one for said in texts.values() for one in said)]
        vectors = np.hstack([teacher.embed_texts(listed) for teacher in self._teachers])
        if keys == ["syn_text"]:
            # DataCompDR: the text's and the captions' in one array.
            return {"text_emb": vectors}
        found, start = {"text_emb": vectors[:1]}, 1
        for key in keys:
            found[f"{key}_emb"] = vectors[start : start + len(texts[key])]
            start += len(texts[key])
        return found


def _as_loaded(content: bytes, limits: ImageLimits) -> NDArray[np.uint8]:
    """The image as webdataset's `pilrgba` and the loader decode it: not turned, without alpha.

    Raises:
        ImageRejected: It is beyond the limits, which it was not when it was indexed.
    """
    image_facts(content, limits)
    with PIL.Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGBA").convert("RGB"))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


def _npz(arrays: Arrays) -> bytes:
    """As numpy reads it without pickle; equal arrays are equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _probed(teacher: Scorer) -> str:
    """What tells one teacher from another: what it makes of an image and a text."""
    ramp = np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3)
    vectors = np.vstack([teacher.embed_images([ramp]), teacher.embed_texts([PROBE])])
    return hashlib.blake2b(vectors.astype("<f2").tobytes(), digest_size=8).hexdigest()
