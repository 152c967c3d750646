"""The asset of an image scorer's scores, whatever kind of scorer it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from recap_assets.artefacts.scores import IMAGE_SCORES
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside
from recap_assets.graph.project import Project
from recap_assets.scores.of_images.kind import OfImages
from recap_assets.scores.of_images.opened import image_scorer_named
from recap_assets.specs.base import Spec, deciding
from recap_assets.specs.running import gpus_of

STAGE = "scores"


def node_of(
    project: Project,
    name: str,
    score: Callable[[Step], pl.DataFrame],
    *,
    version: int,
    reads: Iterable[Dependency],
    outside: Outside | None = None,
    beside: Mapping[str, Spec] | None = None,
) -> Node:
    """The asset `image_scores/NAME`.

    Args:
        project: Whose it is.
        name: The scorer.
        score: Scores a pool partition: shard, uid, score, NaN where an image has none, and no row
            for an image that cannot be read.
        version: Of the code that scores, raised by hand when it gives another result.
        reads: The assets that it reads.
        outside: Version of what it reads beside assets.
        beside: Specs that decide the scores beside the scorer's own, by what they are.
    """
    spec = image_scorer_named(project, name)
    return Node(
        key=IMAGE_SCORES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(reads),
        implementation=version,
        decides=deciding(scorer=spec, **(beside or {})),
        compute=lambda step: scored_rows(project, name, score(step), step),
        description=f"A score of every usable image by {name} ({spec.word}), whatever its texts.",
        outside=outside,
        content=StoredRows(project.workspace.tables, IMAGE_SCORES, {"scorer": name}),
        seconds=spec.seconds,
        pool="gpu" if spec.on_gpu else "cpu",
        n_gpus=gpus_of(spec),
        by_shard=isinstance(spec, OfImages),
        kinds=(spec.framework, "deltalake"),
        checks=(_scores_finite(project, name),),
        is_worth_keeping=True,
    )


def scored_rows(project: Project, name: str, found: pl.DataFrame, step: Step) -> Rows:
    """What is written of a partition's scores; those without one are left out and counted."""
    rows = found.filter(pl.col("score").is_not_nan())
    lost = {
        "image_unreadable": project.usable_images(step.partition).height - found.height,
        "not_scored": found.height - rows.height,
    }
    mean = rows["score"].mean()
    return Rows(
        rows,
        rejected={reason: n for reason, n in lost.items() if n},
        facts={"mean_score": round(float(mean), 4) if mean is not None else "none"},  # type: ignore[arg-type]
        machine=image_scorer_named(project, name).given_by,
    )


def _scores_finite(project: Project, name: str) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(IMAGE_SCORES, scorer=name)
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(scores=pl.len(), not_finite=(~pl.col("score").is_finite()).sum())
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["not_finite"] == 0, figures)

    return Check("scores_are_finite", "Every score is a finite number.", evaluate)
