"""Image classifiers of transformers: the probability of one label."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageClassification

from recap_assets.engines.devices import dtype_of, resolve_device
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.even_softmax import softmax
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.transformers_models import ADVICE, OPTIONS, read_staged
from recap_assets.engines.protocols import Image
from recap_assets.engines.row_counts import EvenPasses, example_pixels
from recap_assets.scores.of_images.kinds.classifier.spec import ImageClassifierSpec
from recap_assets.untrusted.showing import listed

_THREADS = 4
"""The processors compute with torch, which has threads of its own."""


class LabelProbability:
    """The probability that a classifier gives one label.

    Args:
        model: A classifier in eval mode, on `device`.
        processor: Its own resizing and normalisation.
        number: Of the label among the model's.
        spec: Precision and batch size.
        device: Where the model is.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of many classes of transformers
        processor: Any,  # noqa: ANN401
        number: int,
        spec: ImageClassifierSpec,
        device: torch.device,
    ) -> None:
        self._model, self._processor, self._number = model, processor, number
        self._spec, self._device = spec, device
        self._passes = EvenPasses(device)
        self._pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "prepare")

    def score(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Probabilities, shape (n,): by sigmoid where the model is multi-label, else by softmax."""
        return self.begin_images(images)()

    def begin_images(self, images: Sequence[Image]) -> Callable[[], NDArray[np.float32]]:
        """Begin to prepare images; the function gives what `score` would."""
        size = self._passes.at_once(self._spec.batch_size)
        parts = [images[first : first + size] for first in range(0, len(images), size)]
        first = [self._pool.map(self._prepared, part) for part in parts[:1]]
        return lambda: self._scored(parts, first)

    def _scored(
        self, parts: Sequence[Sequence[Image]], ready: list[Iterator[Tensor]]
    ) -> NDArray[np.float32]:
        scores = [np.empty(0, np.float32)]
        for n in range(len(parts)):
            rows = torch.cat(list(ready.pop()))
            # The next images are prepared while the model computes these.
            ready += [self._pool.map(self._prepared, part) for part in parts[n + 1 : n + 2]]
            scores.append(self._score(rows))
        return np.concatenate(scores)

    def _prepared(self, image: Image) -> Tensor:
        # One by one: a processor may pad a batch to its largest image.
        options = {"input_data_format": "channels_last", "return_tensors": "pt"}
        return self._processor(images=image, **options)["pixel_values"]

    @torch.inference_mode()
    def _score(self, rows: Tensor) -> NDArray[np.float32]:
        passes = self._passes.run(self._probabilities, rows, self._spec.batch_size, example_pixels)
        return torch.cat(list(passes)).numpy()

    def _probabilities(self, pixels: Tensor) -> Tensor:
        dtype = dtype_of(self._spec.precision)
        logits = self._model(pixel_values=pixels.to(self._device, dtype)).logits.float()
        several = self._model.config.problem_type == "multi_label_classification"
        probabilities = logits.sigmoid() if several else softmax(logits)
        return probabilities[:, self._number].cpu()


def load_image_classifier(spec: ImageClassifierSpec) -> LabelProbability:
    """A classifier from the hub or a folder; safetensors only, no code of the repository's.

    Raises:
        ModelFileError: It is missing, damaged, incomplete, or has no such label.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(spec.device)
    with explain_loading(spec.model, ADVICE):
        folder = model_folder(spec.model, spec.revision)
        with staging(spec.model) as staged:
            build = AutoModelForImageClassification.from_config
            read = AutoModelForImageClassification.from_pretrained
            model = read_staged(folder, staged, build, read, spec.precision)
            processor: Any = AutoImageProcessor.from_pretrained(
                staged, backend="torchvision", **OPTIONS
            )
    number = _number_of(spec, model.config.id2label, model.config.num_labels)
    return LabelProbability(model, processor, number, spec, put(model, device))


def _number_of(spec: ImageClassifierSpec, labels: Mapping[int, object], n_labels: int) -> int:
    """The number of the label among the model's; `label2id` of its config may say otherwise."""
    found = [number for number, label in labels.items() if str(label) == spec.label]
    if len(found) == 1 and 0 <= found[0] < n_labels:
        return found[0]
    has = f"{len(found)} labels" if found else "no label"
    names = listed(sorted(map(str, labels.values())))
    msg = f"{spec.model} has {has} {spec.label!r} among its {n_labels:,}; they are {names}"
    raise ModelFileError(msg)
