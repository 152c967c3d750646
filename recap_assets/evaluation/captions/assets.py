"""Reference metrics of the captioners, on evaluation sets whose images people described."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl

from recap_assets.artefacts.evaluation import CAPTION_METRICS
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import USABLE
from recap_assets.artefacts.training import MODELS
from recap_assets.captions.assets import captioned
from recap_assets.captions.kind import Captioning
from recap_assets.captions.opened import opened
from recap_assets.engines.protocols import Captioner, Scorer
from recap_assets.evalsets.sets import EvaluationSetError, RetrievalSet
from recap_assets.evaluation.bags import self_retrieval_in_bags
from recap_assets.evaluation.captions.measured import measured_sources
from recap_assets.evaluation.captions.metrics import (
    CLIP_S_PROMPT,
    clip_metrics,
    self_retrieval,
    text_metrics,
)
from recap_assets.evaluation.captions.tokens import caption_tokens
from recap_assets.evaluation.tasks import dependencies, set_of, set_version
from recap_assets.evaluation.zero_shot import Embeddings
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Node, Rows, Step, most_gpus
from recap_assets.graph.outside import both, outside_of
from recap_assets.graph.project import Project
from recap_assets.scores.embeddings import embeddings_node
from recap_assets.scores.opened import embedder_of
from recap_assets.shards.images import decode
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.evaluation import CaptionMetrics
from recap_assets.specs.pool import ImageLimits

VERSION = 2
STAGE = "evaluation"
SECONDS = 10.0
IMAGES_AT_ONCE = 64
PREVIEW_ROWS = 12
BY_SCORER = ("CLIP-S", "RefCLIP-S", "self_retrieval_recall@1")
_LOST = "without a usable caption, so with an empty one, in"

_decode = partial(decode, limits=ImageLimits())


def nodes(project: Project) -> list[Node]:
    """A node for each source with a captioner; none where the experiment does not ask for them."""
    spec = project.experiment.evaluation.captions
    if spec is None:
        return []
    return [_node(project, name, spec) for name in measured_sources(project)]


def scorer_of(project: Project, spec: CaptionMetrics) -> str:
    """The scorer of CLIP-S and the like."""
    return spec.scorer or next(iter(project.experiment.scorers))


def _node(project: Project, name: str, spec: CaptionMetrics) -> Node:
    writer = captioned(project, name, _captioner(project, name))
    scorer = scorer_of(project, spec)
    embedder = embeddings_node(project, scorer)
    trained = {
        dependency.asset: dependency
        for dependency in (*writer.dependencies, *embedder.dependencies)
        if dependency.asset in map(MODELS.key, project.experiment.models)
    }
    return Node(
        key=CAPTION_METRICS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(
            *trained.values(),
            *dependencies(project, spec.sets),
        ),
        implementation=VERSION,
        # What decides the source's captions of the pool and the scorer's embeddings decides these.
        decides=deciding(
            captioner=writer.decides_value,
            scorer=embedder.decides_value,
            sets=list(spec.sets),
            **spec.decides_beyond_default("bags"),
        ),
        compute=lambda step: measure_source(project, name, step),
        description=f"How well {name} describes images that people described: CIDEr, BLEU, ROUGE, "
        "CLIP-S, RefCLIP-S, and whether its caption finds the image again.",
        outside=both(
            outside_of(
                project, project.experiment.sources[name], project.experiment.scorers[scorer]
            ),
            lambda _partition: fingerprint_of(*(set_version(project, s) for s in spec.sets)),
        ),
        content=StoredRows(project.workspace.tables, CAPTION_METRICS, {"source": name}),
        seconds=SECONDS,
        pool="gpu",
        n_gpus=most_gpus(writer, embedder),
        kinds=("pytorch", "deltalake"),
        is_worth_keeping=True,
    )


def _captioner(project: Project, name: str) -> Captioning:
    source = project.experiment.sources[name]
    assert isinstance(source, Captioning), "others have no node"  # noqa: S101
    return source


@dataclass
class Described:
    """The images of one set: what the captioner wrote, what people wrote, their embeddings."""

    captions: list[str] = field(default_factory=list)
    references: list[list[str]] = field(default_factory=list)
    images: list[Embeddings] = field(default_factory=list)
    n_lost: int = 0


def measure_source(project: Project, name: str, step: Step) -> Rows:
    """Let one captioner describe the sets and compare with what people wrote."""
    spec = project.experiment.evaluation.captions
    assert spec is not None, "the node is there because they are asked for"  # noqa: S101
    scorer_name = scorer_of(project, spec)
    scorer = embedder_of(project, scorer_name)
    described = _describe_all(project, name, spec, scorer, step)
    rows = [
        row
        for task, one in described.items()
        for row in _rows(task, one, scorer, scorer_name, spec.bags)
    ]
    frame = pl.DataFrame(rows, schema=CAPTION_METRICS.unsliced, orient="row")
    facts = {f"{row[0]}/{row[1]}": round(float(str(row[2])), 4) for row in rows}
    previews = {f"preview_{t}": preview_markdown(_preview(one)) for t, one in described.items()}
    lost = {f"{_LOST} {t}": one.n_lost for t, one in described.items() if one.n_lost}
    return Rows(frame, rejected=lost, facts=facts, markdown=previews)


def _describe_all(
    project: Project, name: str, spec: CaptionMetrics, scorer: Scorer, step: Step
) -> dict[str, Described]:
    source = _captioner(project, name).model_copy(update={"candidates": 1})
    described: dict[str, Described] = {}
    with opened(project, source) as captioner:
        for task in spec.sets:
            described[task] = _describe(project, task, captioner, scorer)
            step.progress(len(described) / len(spec.sets))
    return described


def _describe(project: Project, task: str, captioner: Captioner, scorer: Scorer) -> Described:
    described = Described()
    for images, references in _reference_set(project, task).batches(IMAGES_AT_ONCE):
        start = len(described.captions)
        uids = [uid_of(task, start + i) for i in range(len(images))]
        for candidates in captioner.caption(images, uids):
            first = candidates[0]
            is_usable = first.status in USABLE
            described.captions.append(first.text if is_usable else "")
            described.n_lost += not is_usable
        described.references += references
        described.images.append(scorer.embed_images(images))
    return described


def _reference_set(project: Project, task: str) -> RetrievalSet:
    opened = set_of(project, task).open(_decode)
    if not isinstance(opened, RetrievalSet):
        msg = f"evaluation.captions.sets: {task} has no captions of people: {opened.path}"
        raise EvaluationSetError(msg)
    return opened


def uid_of(task: str, number: int) -> bytes:
    """The uid under which a captioner draws its randomness for an image of an evaluation set."""
    return hashlib.blake2b(f"{task} {number}".encode(), digest_size=16).digest()


def _rows(
    task: str, described: Described, scorer: Scorer, scorer_name: str, bags: int | None
) -> Iterator[tuple[object, ...]]:
    n_images = len(described.captions)
    tokens = [caption_tokens(caption) for caption in described.captions]
    references = [[caption_tokens(r) for r in of_image] for of_image in described.references]
    for metric, value in text_metrics(tokens, references).items():
        yield task, metric, value, n_images, None
    images = np.concatenate(described.images)
    flat = [reference for of_image in described.references for reference in of_image]
    image_of = np.repeat(np.arange(n_images), [len(one) for one in described.references])
    prompted = _embedded(scorer, [CLIP_S_PROMPT + text for text in described.captions])
    said = _embedded(scorer, [CLIP_S_PROMPT + text for text in flat])
    by_scorer = clip_metrics(images, prompted, said, image_of)
    bare = _embedded(scorer, described.captions)
    recall = self_retrieval(images, bare)
    if bags is not None:
        value = self_retrieval_in_bags(images, bare, bags)
        yield task, f"{BY_SCORER[-1]}:bags_of_{bags}", value, n_images, scorer_name
    for metric, value in zip(BY_SCORER, (*by_scorer.values(), recall), strict=True):
        yield task, metric, value, n_images, scorer_name


def _embedded(scorer: Scorer, texts: Sequence[str]) -> Embeddings:
    parts = [
        scorer.embed_texts(texts[start : start + IMAGES_AT_ONCE * 16])
        for start in range(0, len(texts), IMAGES_AT_ONCE * 16)
    ]
    return np.concatenate(parts)


def _preview(described: Described) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "caption": described.captions[:PREVIEW_ROWS],
            "of people": [of_image[0] for of_image in described.references[:PREVIEW_ROWS]],
        }
    )
