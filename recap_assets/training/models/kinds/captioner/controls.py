"""What the pairs of a corpus say about how each text is written: control tokens in training."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.controls import Controls, length_class
from recap_assets.engines.small.decoder import SmallCaptionModel
from recap_assets.engines.small.loading import read_controls
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kinds.captioner.control import Control

SCORED_AT_ONCE = 1_024


def controls_of(
    pairs: TrainingPairs, control: Control | None, scorers: Mapping[str, Scorer]
) -> tuple[Controls, NDArray[np.int64]]:
    """The controls of a corpus, and for each pair its tokens, shape (n_pairs, controls).

    Args:
        pairs: The corpus.
        control: What the captioner is to be told; None for nothing.
        scorers: Those that it names, by name.

    Raises:
        ValueError: The texts have no sources, and the control needs them.
    """
    if control is None:
        return Controls(), np.zeros((len(pairs.texts), 0), np.int64)
    values: dict[str, NDArray[np.int64]] = {}
    edges: tuple[float, ...] = ()
    if control.alignment:
        scores = pair_scores(pairs, scorers[control.alignment.scorer])
        edges = tuple(map(float, bin_edges(scores, control.alignment.bins)))
        values["alignment"] = np.searchsorted(np.asarray(edges), scores, side="right")
    if control.length:
        classes = [length_class(text, control.length) for text in pairs.texts]
        values["length"] = np.asarray(classes, np.int64)
    tags: tuple[str, ...] = ()
    if control.tag:
        if not pairs.sources:
            msg = "control.tag: the corpus does not say which source a text is of"
            raise ValueError(msg)
        tags = tuple(sorted(set(pairs.sources)))
        values["tag"] = np.asarray([tags.index(source) for source in pairs.sources], np.int64)
    bins = control.alignment.bins if control.alignment else 0
    controls = Controls(alignment=bins, length=control.length, tag=tags, edges=edges)
    told = [controls.first_of(name) + values[name] for name in controls.known]
    return controls, np.stack(told, axis=1)


def pair_scores(pairs: TrainingPairs, scorer: Scorer) -> NDArray[np.float32]:
    """The cosine of each pair by a scorer, which sees the images as the captioner does."""
    images = scorer.embed_images(list(pairs.images))
    scores = np.empty(len(pairs.texts), np.float32)
    for first in range(0, len(scores), SCORED_AT_ONCE):
        part = slice(first, first + SCORED_AT_ONCE)
        texts = scorer.embed_texts(list(pairs.texts[part]))
        scores[part] = (images[pairs.image_index[part]] * texts).sum(1)
    return scores


def bin_edges(scores: NDArray[np.float32], bins: int) -> NDArray[np.float64]:
    """Where the bins after the first begin, so that each has as many scores; equal ones share."""
    return np.quantile(scores.astype(np.float64), np.arange(1, bins) / bins)


def with_controls(folder: Path, model: SmallCaptionModel, controls: Controls) -> SmallCaptionModel:
    """A captioner to fine-tune, with tokens for the controls.

    One that has none gets them; one that has some must have the same.

    Raises:
        ModelFileError: Its controls are others.
    """
    has = read_controls(folder)
    if has.known:
        if dict(has.known) != dict(controls.known):
            msg = (
                f"{folder}: the captioner to start from learned other controls "
                f"({', '.join(has.known)}); give this one the same `control`"
            )
            raise ModelFileError(msg)
        return model
    if not controls.known:
        return model
    shape = model.decoder.shape.model_copy(update={"controls": controls.n_tokens})
    wider = SmallCaptionModel(model.tower_spec, shape)
    weights = model.state_dict()
    name = "decoder.embedding.weight"
    new = wider.decoder.embedding.weight.detach()[shape.vocabulary :]
    weights[name] = torch.cat([weights[name], new])
    wider.load_state_dict(weights)
    return wider.eval()
