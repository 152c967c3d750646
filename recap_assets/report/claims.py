"""The claims of papers, evaluated by this run, as a table."""

from collections.abc import Iterator, Mapping
from typing import cast

import polars as pl

from recap_assets.artefacts import (
    CAPTION_METRICS,
    CLAIMS,
    CLIP_SCORES,
    DIVERSITY_SUMMARY,
    EVALUATION_RESULTS,
    SEARCH_TRIALS,
    preview_markdown,
)
from recap_assets.evaluation.captions.measured import measured_sources, reference_metrics
from recap_assets.graph.stage import Dependency, Node, Project, Rows, StoredRows
from recap_assets.report.expectations import Measured, expected
from recap_assets.report.findings import SCORE_MEANS, Claim, Evidence, evaluate
from recap_assets.report.results import current_results
from recap_assets.report.searched import claims_of_searches
from recap_assets.report.swept import written_sources
from recap_assets.specs.base import deciding

VERSION = 2
STAGE = "report"
SECONDS = 1.0
RECIPE, SEARCH, STUDY = "recipe", "search", "study"


def node_of(project: Project) -> Node:
    """The asset."""
    experiment = project.experiment
    scored = [
        CLIP_SCORES.key(scorer, source)
        for scorer in _scorers_read(project)
        for source in experiment.source_names
    ]
    measured = [CAPTION_METRICS.key(source) for source in measured_sources(project)]
    # The leaderboard has the tasks' main metrics only.
    evaluated = experiment.mixes if experiment.trains else ()
    results = [EVALUATION_RESULTS.key(mix) for mix in evaluated]
    searches = [SEARCH_TRIALS.key(name) for name in experiment.searches]
    reads = [*results, DIVERSITY_SUMMARY.key(), *scored, *measured, *searches]
    recipe = experiment.recipe
    return Node(
        key=CLAIMS.key(),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(Dependency(key, "all") for key in reads),
        implementation=VERSION,
        decides=deciding(
            report=experiment.report,
            average=experiment.evaluation.averaged,
            expects=[one.decides() for one in recipe.expects] if recipe else [],
        ),
        compute=lambda _step: evaluate_claims(project),
        description="What papers claim, and what this run says of it.",
        content=StoredRows(project.workspace.tables, CLAIMS),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        needs=_without_examples,
    )


def _without_examples(decides: Mapping[str, object]) -> object:
    """The settings but for how many images the page shows."""
    report = decides.get("report")
    if not isinstance(report, dict):
        return decides
    named = cast("dict[str, object]", report)
    return {**decides, "report": {k: v for k, v in named.items() if k != "examples"}}


def _scorers_read(project: Project) -> tuple[str, ...]:
    """The first, and those that a recipe's expectations name."""
    recipe = project.experiment.recipe
    named = [one.scorer for one in recipe.expects if one.scorer] if recipe else []
    return tuple(dict.fromkeys([next(iter(project.experiment.scorers)), *named]))


def evaluate_claims(project: Project) -> Rows:
    """Evaluate what a recipe expects, what searches found, then the claims of the study."""
    rows = [
        (number, of, one.name, one.statement, one.verdict, one.figure, one.note)
        for number, (of, one) in enumerate(_claims(project))
    ]
    frame = pl.DataFrame(rows, schema=CLAIMS.schema, orient="row")
    counted = frame.group_by("verdict").len().sort("verdict")
    return Rows(
        frame,
        facts={f"claims/{verdict}": n for verdict, n in counted.iter_rows()},
        markdown={"claims": preview_markdown(frame.drop("number"), rows=50)},
    )


def _claims(project: Project) -> Iterator[tuple[str, Claim]]:
    experiment, tables = project.experiment, project.workspace.tables
    results, average = current_results(project), experiment.evaluation.averaged
    scores = {scorer: score_means(project, scorer) for scorer in _scorers_read(project)}
    diversity = tables.read(DIVERSITY_SUMMARY)
    if experiment.recipe is not None:
        captions = tables.scan(CAPTION_METRICS).filter(
            pl.col("source").is_in(measured_sources(project))
        )
        measured = Measured(results, average, captions.collect(), diversity, scores)
        for one in experiment.recipe.expects:
            yield RECIPE, expected(one, measured)
    references = reference_metrics(project)
    for claim in claims_of_searches(project):
        yield SEARCH, claim
    written = pl.col("source").is_in(written_sources(experiment))
    evidence = Evidence(
        results=results,
        average=average,
        diversity=diversity.filter(written),
        scores=next(iter(scores.values())).filter(written),
        references=None if references is None else references.filter(written),
        embedded_world=experiment.pool.holds_by_design,
    )
    for claim in evaluate(experiment.report, evidence):
        yield STUDY, claim


def score_means(project: Project, scorer: str) -> pl.DataFrame:
    """SCORE_MEANS: the mean score of each source's captions over the pool."""
    rows = project.workspace.tables.scan(CLIP_SCORES, scorer=scorer).filter(
        pl.col("source").is_in(project.experiment.source_names)
        & pl.col("partition").is_in(list(project.partitions))
        & pl.col("score").is_not_null()
    )
    means = rows.group_by("source").agg(
        mean=pl.col("score").cast(pl.Float64).mean(), n=pl.len().cast(pl.Int64)
    )
    return means.select(list(SCORE_MEANS)).sort("source").collect()
