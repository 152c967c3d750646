"""Zero-shot evaluation of one model on one set, as CLIP_benchmark and DataComp do it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Remembering
from recap_assets.evalsets.measuring import Measured, MeasuringSet, Valued
from recap_assets.evalsets.sets import (
    AssociationSet,
    ClassificationSet,
    EvaluationSet,
    FacesSet,
    RetrievalSet,
)
from recap_assets.evaluation.datacomp.grouped import (
    Predicted,
    face_metrics,
    grouped_metrics,
)
from recap_assets.evaluation.metrics import (
    Ranks,
    hit_fraction,
    jaccard_of_best,
    mean_per_class_hits,
    positive_ranks,
    taken_classes,
    target_ranks,
)
from recap_assets.shards.reading import in_background

T = TypeVar("T")

RECALL_AT = (1, 5, 10)
CLASSIFICATION_MAIN = "acc1"
RETRIEVAL_MAIN = "mean_recall@1"
ASSOCIATION_MAIN = "jaccard_score_10-12"

_BLOCK = 2**22  # scores held at a time: 16 MiB in float32

Embeddings = NDArray[np.float32]
"""Unit length, shape (n, dim)."""


@dataclass(frozen=True)
class Metric:
    """One number of one task.

    Attributes:
        metric: acc1, acc5, mean_per_class_recall, image_retrieval_recall@k,
            text_retrieval_recall@k, mean_recall@1, or what a kind of task or DataComp adds.
        value: In [0, 1], where the kind of task does not give another range.
        is_main: True for the metric that enters averages.
        n_samples: Images that it is the mean over: those of the set, or of a group.
    """

    metric: str
    value: float
    is_main: bool
    n_samples: int


def evaluate(
    embedder: Embedder,
    evaluation_set: EvaluationSet,
    *,
    batch_size: int,
    metric: str | None = None,
) -> list[Metric]:
    """Measure a model on a set; every image and text is embedded once.

    Classification gives acc1, acc5 (from five classes on) and mean_per_class_recall; retrieval
    gives recall at 1, 5 and 10 for images and texts (each k up to the number of candidates) and
    mean_recall@1, half the sum of both at 1. DataComp's other tasks give what DataComp writes.

    Args:
        embedder: Unit-length embeddings of images and texts.
        evaluation_set: From `load_set`.
        batch_size: Images or texts of one call to the embedder.
        metric: The main one; by default acc1 for classification, mean_recall@1 for retrieval, the
            Jaccard index at 10 and 12 candidates for WinoGAViL, none for faces.

    Raises:
        ValueError: The set has no such metric.
        EvaluationSetError: The set is damaged.
    """
    found = measured(embedder, evaluation_set, batch_size)
    return metrics_of(found, evaluation_set.path, metric)


def metrics_of(found: Measured, path: str, metric: str | None = None) -> list[Metric]:
    """The metrics of a set as rows.

    Args:
        found: Of `measured`.
        path: Of the set, for messages.
        metric: The main one; by default the set's own.

    Raises:
        ValueError: The set has no such metric.
    """
    main = metric or found.main
    if main is not None and main not in found.values:
        msg = f"{path}: no metric {main!r}; this set gives {', '.join(found.values)}"
        raise ValueError(msg)
    return [Metric(name, value, name == main, n) for name, (value, n) in found.values.items()]


def measured(embedder: Embedder, evaluation_set: EvaluationSet, batch_size: int) -> Measured:
    """All that a model has on a set.

    Raises:
        EvaluationSetError: The set is damaged.
    """
    if isinstance(evaluation_set, MeasuringSet):
        remembers = isinstance(embedder, Remembering)
        once = embedder if remembers else Remembering(embedder)
        return evaluation_set.measure(once, batch_size)
    if isinstance(evaluation_set, ClassificationSet):
        return Measured(_classify(embedder, evaluation_set, batch_size), CLASSIFICATION_MAIN)
    if isinstance(evaluation_set, RetrievalSet):
        return Measured(_retrieve(embedder, evaluation_set, batch_size), RETRIEVAL_MAIN)
    if isinstance(evaluation_set, AssociationSet):
        return Measured(_associate(embedder, evaluation_set), ASSOCIATION_MAIN)
    return Measured(_tell_of_faces(embedder, evaluation_set, batch_size), None)


def ahead(batches: Callable[[], Iterable[T]]) -> Iterator[T]:
    """The batches of a set, the next one read and decoded while a model has this one."""
    return in_background(batches, 1)


def class_embeddings(
    embedder: Embedder, class_names: Sequence[str], templates: Sequence[str], batch_size: int
) -> Embeddings:
    """The prompt ensemble: for each class the normalised mean of its prompts' embeddings.

    Returns:
        Shape (classes, dim). A class whose prompts cancel out keeps a zero row, which never wins.
    """
    n_templates = len(templates)
    owners = np.arange(len(class_names) * n_templates) // n_templates
    sums: NDArray[np.float64] | None = None
    for rows in row_blocks(len(owners), batch_size):
        prompts = [
            templates[row % n_templates].replace("{c}", class_names[row // n_templates])
            for row in range(rows.start, rows.stop)
        ]
        embedded = embedder.embed_texts(prompts)
        if sums is None:
            sums = np.zeros((len(class_names), embedded.shape[1]))
        np.add.at(sums, owners[rows], embedded)
    assert sums is not None, "a set has classes and templates"  # noqa: S101 - load_set saw to it
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.where(norms > 0, norms, 1)).astype(np.float32)


def cosines(queries: Embeddings, candidates: Embeddings) -> NDArray[np.float32]:
    """Cosines of unit-length rows, shape (queries, candidates).

    Summed in float64 and rounded once: a float32 product gives equal embeddings unequal scores,
    depending on where in the matrix they stand, and ties would not be seen as ties.
    """
    return (queries.astype(np.float64) @ candidates.astype(np.float64).T).astype(np.float32)


def _classify(embedder: Embedder, evaluation_set: ClassificationSet, batch_size: int) -> Valued:
    names = evaluation_set.class_names
    predicted = _predicted(embedder, evaluation_set, batch_size)
    values = {"acc1": hit_fraction(predicted.ranks, 1)}
    if len(names) >= 5:
        values["acc5"] = hit_fraction(predicted.ranks, 5)
    values["mean_per_class_recall"] = mean_per_class_hits(predicted.ranks, predicted.labels)
    grouped = grouped_metrics(evaluation_set.protocol, predicted)
    return {**_over(values, len(predicted.ranks)), **grouped}


def _predicted(embedder: Embedder, evaluation_set: ClassificationSet, batch_size: int) -> Predicted:
    names, templates = evaluation_set.class_names, evaluation_set.templates
    classes = class_embeddings(embedder, names, templates, batch_size)
    parts: list[Predicted] = []
    for images, labels, metadata in ahead(lambda: evaluation_set.grouped_batches(batch_size)):
        scores = cosines(embedder.embed_images(images), classes)
        ranks, taken = target_ranks(scores, labels), taken_classes(scores, labels)
        parts.append(Predicted(ranks, taken, labels, metadata))
    return Predicted(
        np.concatenate([part.ranks for part in parts]),
        np.concatenate([part.predictions for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.metadata for part in parts]),
    )


def _over(values: Mapping[str, float], n_samples: int) -> Valued:
    return {name: (value, n_samples) for name, value in values.items()}


def _associate(embedder: Embedder, evaluation_set: AssociationSet) -> Valued:
    found: list[tuple[int, float]] = []
    for one in evaluation_set.associations():
        cue = embedder.embed_texts([one.prompt])
        scores = cosines(cue, embedder.embed_images(one.images))[0]
        found.append((len(one.images), jaccard_of_best(scores, one.is_associated)))
    sizes, scores = np.array([n for n, _ in found]), np.array([score for _, score in found])
    groups = {f"jaccard_score_{n}": sizes == n for n in (5, 6, 10, 12)}
    groups |= {"jaccard_score_5-6": sizes <= 6, "jaccard_score_10-12": sizes >= 10}
    values = {
        name: (float(scores[members].mean()), int(members.sum()))
        for name, members in groups.items()
        if members.any()
    }
    return {"avg_jaccard_score": (float(scores.mean()), len(scores)), **values}


def _tell_of_faces(embedder: Embedder, evaluation_set: FacesSet, batch_size: int) -> Valued:
    classes = {
        objective: class_embeddings(embedder, of_it.class_names, of_it.templates, batch_size)
        for objective, of_it in evaluation_set.prompts.items()
    }
    taken: dict[str, list[NDArray[np.int64]]] = {objective: [] for objective in classes}
    parts: list[NDArray[np.int64]] = []
    for images, metadata in ahead(lambda: evaluation_set.batches(batch_size)):
        embedded = embedder.embed_images(images)
        parts.append(metadata)
        for objective, vectors in classes.items():
            taken[objective].append(cosines(embedded, vectors).argmax(axis=1))
    predictions = {objective: np.concatenate(of_it) for objective, of_it in taken.items()}
    return face_metrics(predictions, np.concatenate(parts))


def _retrieve(embedder: Embedder, evaluation_set: RetrievalSet, batch_size: int) -> Valued:
    image_parts: list[Embeddings] = []
    text_parts: list[Embeddings] = []
    n_captions: list[int] = []
    for images, captions in ahead(lambda: evaluation_set.batches(batch_size)):
        image_parts.append(embedder.embed_images(images))
        texts = [text for of_image in captions for text in of_image]
        text_parts.append(embedded_texts(embedder, texts, batch_size))
        n_captions += [len(of_image) for of_image in captions]
    images, texts = np.concatenate(image_parts), np.concatenate(text_parts)
    image_of_text = np.repeat(np.arange(len(images)), n_captions)
    sides = {
        "image": (
            retrieval_ranks(texts, images, image_of_text, np.arange(len(images))),
            len(images),
        ),
        "text": (retrieval_ranks(images, texts, np.arange(len(images)), image_of_text), len(texts)),
    }
    values = {
        f"{side}_retrieval_recall@{k}": hit_fraction(ranks, k)
        for side, (ranks, n_candidates) in sides.items()
        for k in RECALL_AT
        if k <= n_candidates
    }
    both = [values[f"{side}_retrieval_recall@1"] for side in sides]
    return _over({**values, RETRIEVAL_MAIN: 0.5 * sum(both)}, len(images))


def retrieval_ranks(
    queries: Embeddings,
    candidates: Embeddings,
    image_of_query: NDArray[np.integer],
    image_of_candidate: NDArray[np.integer],
) -> Ranks:
    """How many wrong candidates stand before each query's best right one, shape (queries,).

    Args:
        queries: Unit length, shape (queries, dim).
        candidates: Unit length, shape (candidates, dim).
        image_of_query: Shape (queries,).
        image_of_candidate: Shape (candidates,); right are those of the query's image.
    """
    # A block of rows at a time: 25,000 captions by 5,000 images would be half a gigabyte.
    return np.concatenate(
        [
            positive_ranks(
                cosines(queries[rows], candidates),
                image_of_query[rows, None] == image_of_candidate[None],
            )
            for rows in row_blocks(len(queries), max(1, _BLOCK // len(candidates)))
        ]
    )


def embedded_texts(embedder: Embedder, texts: Sequence[str], batch_size: int) -> Embeddings:
    """Embeddings of one text at least, `batch_size` at a time."""
    blocks = row_blocks(len(texts), batch_size)
    return np.concatenate([embedder.embed_texts(texts[rows]) for rows in blocks])


def row_blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows, in order."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
