"""The best candidates of a caption source, by a scorer, as a caption source of its own."""

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import USABLE, count_rejects, is_usable
from recap_assets.captions.derived import Derived, derived_node
from recap_assets.captions.kinds.reranked.spec import RerankedSpec
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project

VERSION = 1


def node_of(project: Project, name: str, spec: RerankedSpec) -> Node:
    """The asset of a re-ranked source."""
    reads = (SYNTHETIC_CAPTIONS.key(spec.source), CLIP_SCORES.key(spec.scorer, spec.source))
    derived = Derived(
        [Dependency(key, "same") for key in reads],
        VERSION,
        f"The best {spec.keep} of the captions that {spec.source} has for an image, by "
        f"{spec.scorer}; ties go to the lower number.",
        lambda step: rerank_partition(project, spec, step),
        stage="scores",
    )
    return derived_node(project, name, spec, derived)


def rerank_partition(project: Project, spec: RerankedSpec, step: Step) -> Rows:
    """Keep the best candidates of one pool partition."""
    tables = project.workspace.tables
    found = tables.read(SYNTHETIC_CAPTIONS, source=spec.source, partition=step.partition)
    found = found.drop(SYNTHETIC_CAPTIONS.optional)
    scored = tables.read(
        CLIP_SCORES, scorer=spec.scorer, source=spec.source, partition=step.partition
    )
    rows = best_candidates(found, scored, spec.keep)
    good = rows.filter(is_usable())
    mean = good["score"].mean()
    return Rows(
        rows,
        rejected=count_rejects(rows),
        facts={
            "candidates_before": found.filter(is_usable()).height,
            "candidates_kept": good.height,
            "mean_score_kept": round(float(mean), 4) if mean is not None else "none",  # type: ignore[arg-type]
        },
        markdown={"preview": preview_markdown(good.select("uid", "text", "score"))},
    )


def best_candidates(found: pl.DataFrame, scored: pl.DataFrame, keep: int) -> pl.DataFrame:
    """The best usable candidates of each image, renumbered from 0.

    An unscored caption ranks last, ties go to the lower number: as a mix chooses among candidates.
    An image without a usable caption keeps the row that says why; of several the first.

    Args:
        found: `uid`, `candidate`, `status` and whatever else the captions have.
        scored: `uid`, `candidate`, `score`.
        keep: How many at most.

    Returns:
        The columns of `found` and `score`, by uid and candidate.
    """
    score = scored.select("uid", "candidate", "score")
    rows = found.join(score, on=["uid", "candidate"], how="left")
    usable = pl.col("status").is_in(USABLE)
    ranked = rows.with_columns(is_lost=~usable).sort(
        "uid", "is_lost", "score", "candidate", descending=[False, False, True, False],
        nulls_last=True,
    )  # fmt: skip
    place = pl.int_range(pl.len()).over("uid")
    all_lost = pl.col("is_lost").all().over("uid")
    kept = pl.when(all_lost).then(place == 0).otherwise(~pl.col("is_lost") & (place < keep))
    number = place.cast(found.schema["candidate"])
    return ranked.filter(kept).drop("is_lost").with_columns(candidate=number)
