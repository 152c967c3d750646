"""Evaluation of every trained CLIP on every task."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from recap_assets.artefacts.evaluation import EVALUATION_IMAGES, EVALUATION_RESULTS
from recap_assets.artefacts.facets import HASHES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import is_usable
from recap_assets.artefacts.training import TRAINED_CLIP
from recap_assets.evalsets.embedding import Embedder, Remembering
from recap_assets.evalsets.measuring import Measured
from recap_assets.evaluation import tasks
from recap_assets.evaluation.by_task import BY_TASK, wanted_tasks, without_hash
from recap_assets.evaluation.cached_images import ModelImages
from recap_assets.evaluation.prefixed import Prefixed
from recap_assets.evaluation.scorers import ScorerRead, scorer_read
from recap_assets.evaluation.tasks import (
    TaskSet,
    dependencies,
    learn_sets,
    ranges,
    scorers_asked,
    sets_of,
    sets_version,
)
from recap_assets.evaluation.zero_shot import Metric, measured, metrics_of
from recap_assets.graph.by_row import by_row
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import both
from recap_assets.graph.project import Project
from recap_assets.shards.images import HASH_SIDE, decode, matches_within, perceptual_hash
from recap_assets.specs.base import deciding
from recap_assets.specs.pool import ImageLimits
from recap_assets.tracking.runs import track_results
from recap_assets.training.prefixes import prefix_of

VERSION = 2
STAGE = "evaluation"
SECONDS = 5.0
LIMITS = ImageLimits()
SAME_IMAGE_BITS = 6
"""Perceptual hashes this close are taken for one image; at 6 all near-duplicates of real
photographs are found."""

_decode_for_hash = partial(decode, limits=LIMITS, min_side=HASH_SIDE)


def nodes(project: Project) -> list[Node]:
    """The sets that are made here, the evaluation images, and the results of each mix, if any."""
    if not project.experiment.trains:
        return []
    scorers = [scorer_read(project, name) for name in scorers_asked(project)]
    results = [_results_node(project, mix, scorers) for mix in project.experiment.mixes]
    return [*tasks.nodes(project), _images_node(project), *results]


def _images_node(project: Project) -> Node:
    return Node(
        key=EVALUATION_IMAGES.key(),
        stage=STAGE,
        dimension="none",
        dependencies=(*dependencies(project), Dependency(RAW_POOL.key(), "all", (HASHES,))),
        implementation=VERSION,
        decides=deciding(),
        compute=lambda step: hash_images(project, step),
        description="Perceptual hashes of all evaluation images, and which pool images match them.",
        outside=lambda _partition: sets_version(project),
        content=StoredRows(project.workspace.tables, EVALUATION_IMAGES),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        checks=(_no_leak(project),),
    )


def hash_images(project: Project, step: Step) -> Rows:
    """Hash every evaluation image and look for it in the pool."""
    learn_sets(project)
    frames = []
    sets = [one for one in sets_of(project) if one.rests_on is None]
    for one in sets:
        hashes = [
            perceptual_hash(image)
            for images in one.open(_decode_for_hash).images(256)
            for image in images
        ]
        frames.append(
            pl.DataFrame(
                {"task": one.name, "number": range(len(hashes)), "perceptual_hash": hashes},
                schema={"task": pl.String, "number": pl.Int64, "perceptual_hash": pl.Int64},
            )
        )
        step.progress(len(frames) / len(sets))
    rows = pl.concat(frames)
    matched = _matches(project, rows)
    return Rows(rows.with_columns(n_pool_matches=pl.Series(matched, dtype=pl.Int64)))


def _matches(project: Project, rows: pl.DataFrame) -> list[int]:
    samples = project.workspace.tables.scan(RAW_POOL).filter(is_usable())
    hashes = samples.select("perceptual_hash").drop_nulls().collect()["perceptual_hash"]
    bits = same_image_bits(project)
    pairs = matches_within(rows["perceptual_hash"].to_numpy(), hashes.to_numpy(), bits)
    counts = [0] * rows.height
    for number in pairs[:, 0]:
        counts[int(number)] += 1
    return counts


def same_image_bits(project: Project) -> int:
    """How far apart hashes of one image may be; drawn scenes differ by less than photographs."""
    return 0 if project.experiment.pool.is_drawn else SAME_IMAGE_BITS


def _no_leak(project: Project) -> Check:
    def evaluate(_partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.read(EVALUATION_IMAGES)
        leaked = rows.filter(pl.col("n_pool_matches") > 0)
        by_task = dict(leaked.group_by("task").len().sort("task").iter_rows())
        figures = {f"leaked/{task}": n for task, n in by_task.items()}
        return Verdict(leaked.is_empty(), {"images": rows.height, **figures})

    return Check(
        "no_evaluation_image_in_the_pool",
        "No evaluation image is in the pool, by perceptual hash "
        f"(at most {same_image_bits(project)} bits apart).",
        evaluate,
        blocking=False,
    )


def _results_node(project: Project, mix: str, scorers: Sequence[ScorerRead]) -> Node:
    return Node(
        key=EVALUATION_RESULTS.key(mix),
        stage=STAGE,
        dimension="seed",
        dependencies=(
            Dependency(TRAINED_CLIP.key(mix), "same"),
            *dependencies(project),
            *(dependency for one in scorers for dependency in one.trained),
        ),
        implementation=VERSION,
        decides=deciding(
            evaluation=project.experiment.evaluation.deciding_results,
            **({"scorers": {one.name: one.decides for one in scorers}} if scorers else {}),
        ),
        compute=lambda step: evaluate_mix(project, mix, step),
        description=f"What the CLIPs trained on {mix} score on each task.",
        outside=both(lambda _p: sets_version(project), *(one.outside for one in scorers)),
        content=StoredRows(project.workspace.tables, EVALUATION_RESULTS, {"mix": mix}),
        seconds=SECONDS,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
        checks=(_results_are_in_range(project, mix),),
        is_worth_keeping=True,
        rows=BY_TASK,
        # Prompts may begin with the name of the mix's own source.
        any_name=project.experiment.evaluation.prefix is None,
    )


def evaluate_mix(project: Project, mix: str, step: Step) -> Rows:
    """Evaluate one trained CLIP on the tasks that it was not evaluated on before."""
    sets = sets_of(project)
    aside: dict[str, Mapping[str, int]] = {}

    def evaluated(step: Step, wanted: pl.DataFrame) -> pl.DataFrame:
        found = list(_evaluated(project, mix, step, set(wanted["task"])))
        aside.update({task: measured.aside for task, measured, _ in found if measured.aside})
        rows = [(task, *vars(metric).values()) for task, _, metrics in found for metric in metrics]
        return pl.DataFrame(rows, schema=EVALUATION_RESULTS.unsliced, orient="row")

    rows = by_row(step, EVALUATION_RESULTS, wanted_tasks(project, mix, step, sets), evaluated)
    order = pl.col("task").cast(pl.Enum([one.name for one in sets]))
    frame = without_hash(rows.sort(order, maintain_order=True), aside)
    main = frame.filter("is_main")
    return Rows(
        frame,
        rejected={f"{t}/{reason}": n for t, found in aside.items() for reason, n in found.items()},
        facts={
            **dict(main.select("task", pl.col("value").round(4)).iter_rows()),
            **track_results(project, mix, step, frame),
        },
        markdown={"results": preview_markdown(frame, rows=40)},
    )


def _evaluated(
    project: Project, mix: str, step: Step, wanted: Collection[str]
) -> Iterator[tuple[str, Measured, Sequence[Metric]]]:
    """The name, all that was measured and the metrics of each task that is wanted."""
    from recap_assets.engines.trained import load_trained_clip

    evaluation = project.experiment.evaluation
    checkpoint = project.workspace.checkpoint(mix, int(step.partition))
    embedder: Embedder = load_trained_clip(checkpoint, evaluation.batch_size)
    sets = sets_of(project)
    learn_sets(project)
    images = ModelImages(project, embedder, sets)
    if evaluation.prefix is not None:
        source = prefix_of(project.experiment.mixes[mix], evaluation.prefix)
        embedder = Prefixed(embedder, source)
    left = [one for one in sets if one.name in wanted]
    shared = _embedders(left, embedder)
    for number, one in enumerate(left, 1):
        with images.decoded(one) as decode_one:
            opened = one.open(decode_one)
            found = measured(shared[one.of_set], opened, evaluation.batch_size)
        yield one.name, found, metrics_of(found, opened.path, one.metric)
        step.progress(number / len(left))


def _embedders(sets: Sequence[TaskSet], embedder: Embedder) -> Mapping[str, Embedder]:
    """By set what embeds it: where several tasks measure one set, it is embedded once."""
    tasks = Counter(one.of_set for one in sets)
    return {name: Remembering(embedder) if n > 1 else embedder for name, n in tasks.items()}


def _results_are_in_range(project: Project, mix: str) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(EVALUATION_RESULTS, mix=mix)
        of_seeds = rows.filter(pl.col("seed").is_in([int(p) for p in partitions])).collect()
        bounds = ranges(project)
        outside = 0
        for task, metric, value in of_seeds.select("task", "metric", "value").iter_rows():
            low, high = bounds.get((task, metric), (0.0, 1.0))
            outside += not low <= value <= high
        return Verdict(outside == 0, {"results": of_seeds.height, "outside": outside})

    return Check(
        "results_are_in_range",
        "Every result is between 0 and 1, or where its kind of task says that it may be.",
        evaluate,
    )
