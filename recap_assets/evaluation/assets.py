"""Evaluation of every trained CLIP on every task."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from recap_assets.artefacts.evaluation import EVALUATION_IMAGES, EVALUATION_RESULTS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import is_usable
from recap_assets.artefacts.training import TRAINED_CLIP
from recap_assets.evaluation import tasks
from recap_assets.evaluation.tasks import dependencies, sets_of, sets_version
from recap_assets.evaluation.zero_shot import evaluate
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.shards.images import HASH_SIDE, decode, matches_within, perceptual_hash
from recap_assets.specs.base import deciding
from recap_assets.specs.pool import ImageLimits

VERSION = 2
STAGE = "evaluation"
SECONDS = 5.0
LIMITS = ImageLimits()
SAME_IMAGE_BITS = 6
"""Perceptual hashes this close are taken for one image; at 6 all near-duplicates of real
photographs are found."""

_decode = partial(decode, limits=LIMITS)
_decode_for_hash = partial(decode, limits=LIMITS, min_side=HASH_SIDE)


def nodes(project: Project) -> list[Node]:
    """The sets that are made here, the evaluation images, and the results of each mix."""
    results = [_results_node(project, mix) for mix in project.experiment.mixes]
    return [*tasks.nodes(project), _images_node(project), *results]


def _images_node(project: Project) -> Node:
    return Node(
        key=EVALUATION_IMAGES.key(),
        stage=STAGE,
        dimension="none",
        dependencies=(*dependencies(project), Dependency(RAW_POOL.key(), "all")),
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
    frames = []
    sets = sets_of(project)
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


def _results_node(project: Project, mix: str) -> Node:
    return Node(
        key=EVALUATION_RESULTS.key(mix),
        stage=STAGE,
        dimension="seed",
        dependencies=(
            Dependency(TRAINED_CLIP.key(mix), "same"),
            *dependencies(project),
        ),
        implementation=VERSION,
        decides=deciding(evaluation=project.experiment.evaluation.deciding_results),
        compute=lambda step: evaluate_mix(project, mix, step),
        description=f"What the CLIPs trained on {mix} score on each task.",
        outside=lambda _partition: sets_version(project),
        content=StoredRows(project.workspace.tables, EVALUATION_RESULTS, {"mix": mix}),
        seconds=SECONDS,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
        checks=(_results_are_fractions(project, mix),),
    )


def evaluate_mix(project: Project, mix: str, step: Step) -> Rows:
    """Evaluate one trained CLIP on all tasks."""
    from recap_assets.engines.trained import load_trained_clip

    evaluation = project.experiment.evaluation
    seed = int(step.partition)
    embedder = load_trained_clip(project.workspace.checkpoint(mix, seed), evaluation.batch_size)
    rows = []
    sets = sets_of(project)
    for number, one in enumerate(sets, 1):
        results = evaluate(
            embedder, one.open(_decode), batch_size=evaluation.batch_size, metric=one.metric
        )
        rows += [(one.name, r.metric, r.value, r.is_main, r.n_samples) for r in results]
        step.progress(number / len(sets))
    frame = pl.DataFrame(rows, schema=EVALUATION_RESULTS.unsliced, orient="row")
    main = frame.filter("is_main")
    return Rows(
        frame,
        facts=dict(main.select("task", pl.col("value").round(4)).iter_rows()),
        markdown={"results": preview_markdown(frame, rows=40)},
    )


def _results_are_fractions(project: Project, mix: str) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(EVALUATION_RESULTS, mix=mix)
        of_seeds = rows.filter(pl.col("seed").is_in([int(p) for p in partitions])).collect()
        outside = of_seeds.filter(~pl.col("value").is_between(0, 1)).height
        return Verdict(outside == 0, {"results": of_seeds.height, "outside": outside})

    return Check("results_are_fractions", "Every result is between 0 and 1.", evaluate)
