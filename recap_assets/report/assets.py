"""The leaderboard, and the report page."""

import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recap_assets.artefacts import (
    CAPTION_METRICS,
    CLAIMS,
    CLIP_SCORES,
    CURATED_MIXES,
    DIVERSITY_SUMMARY,
    EVALUATION_RESULTS,
    LEADERBOARD,
    RAW_POOL,
    REPORT,
    SCORE_HISTOGRAMS,
    SEARCH_TRIALS,
    SYNTHETIC_CAPTIONS,
    THRESHOLDS,
    TRAINING_CURVES,
    image_markdown,
    is_usable,
    preview_markdown,
)
from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT
from recap_assets.artefacts.facets import ASIDE, CHOSEN, IMAGES, SHARES, TEXTS
from recap_assets.captions.charges import charges_of
from recap_assets.evaluation.averages import AVERAGE, averaged_tasks
from recap_assets.evaluation.captions.measured import measured_sources
from recap_assets.graph.building import provenance
from recap_assets.graph.node import Graph
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Outcome,
    Project,
    Rows,
    Step,
    StoredFiles,
    StoredRows,
)
from recap_assets.lineage.costs import ledger
from recap_assets.mixes.diversity import unique_trigrams_of_mixes
from recap_assets.mixes.left_out import stored_parts
from recap_assets.plots.mixes import SOURCE_SHARES, leaderboard_chart
from recap_assets.plots.rendering import chart_png
from recap_assets.report import claims
from recap_assets.report.ancestry import MOST_MIXES, ancestries, stages_of
from recap_assets.report.captioners import captioners
from recap_assets.report.chance import average_chance, chances
from recap_assets.report.compared_scores import against_raw
from recap_assets.report.contents import MIX_SUMMARY, REJECTS, ClaimRow, ReportData, RunFacts
from recap_assets.report.examples import discarded, examples
from recap_assets.report.leaderboard import leaderboard
from recap_assets.report.left_out import LEFT_OUT
from recap_assets.report.near_cutoffs import strips
from recap_assets.report.page import render
from recap_assets.report.pairing import left_out
from recap_assets.report.results import current_results
from recap_assets.report.searched import searched
from recap_assets.report.standing import runs_of
from recap_assets.report.swept import swept_rows
from recap_assets.report.takers import whole_mixes
from recap_assets.report.terms import terms_of
from recap_assets.scores.kind import Scoring
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import fitting
from recap_assets.specs.needed import partly_captioned
from recap_assets.specs.sources import RAW
from recap_assets.storage.files import write_atomically
from recap_assets.tracking.runs import track_leaderboard

VERSION = 1
REPORT_VERSION = 7
STAGE = "report"
SECONDS = 3.0


def nodes(project: Project, graph: Callable[[], Graph]) -> list[Node]:
    """The leaderboard, where mixes are evaluated, the claims and the report.

    Args:
        project: The experiment.
        graph: Gives the graph of all nodes, these among them, which the report draws a part of.
    """
    board = [_leaderboard_node(project)] if project.experiment.trains else []
    return [*board, claims.node_of(project), _report_node(project, graph)]


def _leaderboard_node(project: Project) -> Node:
    names = list(project.experiment.mixes)
    return Node(
        key=LEADERBOARD.key(),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(
            edge
            for name in names
            for edge in (
                Dependency(CURATED_MIXES.key(name), "all", (SHARES,)),
                Dependency(EVALUATION_RESULTS.key(name), "all"),
            )
        ),
        implementation=VERSION,
        decides=deciding(average=project.experiment.evaluation.averaged, mixes=sorted(names)),
        compute=lambda _step: rank_mixes(project),
        description="Every mix side by side: mean and deviation over seeds of every task.",
        content=StoredRows(project.workspace.tables, LEADERBOARD),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def rank_mixes(project: Project) -> Rows:
    """Put the results of all mixes together."""
    shares = source_shares(project)
    sizes = shares.group_by("mix").agg(
        n_pairs=pl.col("n_pairs").sum(),
        raw_share=pl.col("n_pairs").filter(pl.col("source") == RAW).sum() / pl.col("n_pairs").sum(),
    )
    evaluation_spec = project.experiment.evaluation
    board = leaderboard(
        current_results(project),
        sizes,
        evaluation_spec.averaged,
        with_groups=evaluation_spec.datacomp is not None,
    )
    ranked = board.filter(pl.col("task") == "average").sort("mean", descending=True)
    return Rows(
        board,
        facts={
            **{f"average/{row['mix']}": round(row["mean"], 4) for row in ranked.to_dicts()},
            **track_leaderboard(project, board),
        },
        markdown={
            "leaderboard": preview_markdown(ranked, rows=50),
            "chart": image_markdown(chart_png(leaderboard_chart(board))),
        },
    )


def source_shares(project: Project) -> pl.DataFrame:
    """How many pairs of each mix come from which source: mix, source, n_pairs."""
    rows = _current_pairs(project)
    counted = rows.group_by("mix", "source").agg(n_pairs=pl.len().cast(pl.Int64)).collect()
    return counted.select(list(SOURCE_SHARES)).sort("mix", "source")


def _current_pairs(project: Project) -> pl.LazyFrame:
    return project.workspace.tables.scan(CURATED_MIXES).filter(
        pl.col("mix").is_in(list(project.experiment.mixes))
        & pl.col("partition").is_in(list(project.partitions))
    )


def _read_by_report(project: Project) -> Iterator[Dependency]:
    """All that the page shows."""
    yield Dependency(RAW_POOL.key(), "all", (IMAGES, TEXTS, ASIDE))
    for source in project.experiment.sources:
        yield Dependency(SYNTHETIC_CAPTIONS.key(source), "all", (TEXTS, ASIDE))
    for mix in project.experiment.mixes:
        yield Dependency(CURATED_MIXES.key(mix), "all", (CHOSEN,))
    yield from (Dependency(key, "all") for key in _whole_in_report(project))


def _whole_in_report(project: Project) -> list[str]:
    experiment = project.experiment
    scored = [
        CLIP_SCORES.key(scorer, source)
        for scorer in experiment.scorers
        for source in experiment.source_names
    ]
    reads = [LEADERBOARD.key()] if experiment.trains else []
    reads += [CLAIMS.key(), DIVERSITY_SUMMARY.key(), *scored]
    reads += [CAPTION_METRICS.key(source) for source in measured_sources(project)]
    reads += [
        CAPTIONS_LEFT_OUT.key(name)
        for name in experiment.sources
        if partly_captioned(experiment, name)
    ]
    reads += [SEARCH_TRIALS.key(name) for name in experiment.searches]
    for name in experiment.mixes:
        reads.append(THRESHOLDS.key(name))
        if experiment.trains:
            reads.append(EVALUATION_RESULTS.key(name))
    return reads


def _report_node(project: Project, graph: Callable[[], Graph]) -> Node:
    experiment = project.experiment
    return Node(
        key=REPORT.key(),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(_read_by_report(project)),
        implementation=REPORT_VERSION,
        decides=deciding(
            report=experiment.report,
            left_out=list(experiment.left_out),
            descriptions=[mix.description for mix in experiment.mixes.values()],
            # Sections, rows and colours come in the order of the file.
            mixes=list(experiment.mixes),
            scorers=list(experiment.scorers),
            sources=list(experiment.source_names),
            # Not said where there is none: what was built before it existed stays as it is.
            **({"recipe": experiment.recipe} if experiment.recipe else {}),
            **({"searches": list(experiment.searches)} if experiment.searches else {}),
            **(
                {"sweep": experiment.model_dump(mode="json", include={"sweep"})}
                if experiment.sweep
                else {}
            ),
        ),
        compute=lambda step: write_report(project, graph(), step),
        description="One self-contained page: mixes, claims, plots, sample images.",
        content=StoredFiles(
            lambda _: project.workspace.report.parent,
            lambda _: (project.workspace.report,),
            is_versioned=False,
        ),
        seconds=SECONDS,
        kinds=("html",),
    )


def write_report(project: Project, graph: Graph, step: Step) -> Outcome:
    """Gather everything and write the page."""
    trains = project.experiment.trains
    board = project.workspace.tables.read(LEADERBOARD) if trains else LEADERBOARD.empty()
    claimed = claims_shown(project)
    page = render(report_data(project, graph, board, claimed)).encode()
    for path in (project.workspace.report, project.workspace.latest_report):
        write_atomically(path, page)
    return Outcome(
        # The page carries its date; what it shows is what counts.
        step.fingerprint or fingerprint_of(len(page)),
        len(claimed),
        facts={
            "path": str(project.workspace.report.relative_to(project.workspace.data)),
            **{f"claim/{claim.name}": claim.verdict for claim in claimed},
        },
    )


def claims_shown(project: Project) -> list[ClaimRow]:
    """The claims of a recipe, and those of the study.

    With a recipe, or where nothing is trained, only what was measured.
    """
    rows = project.workspace.tables.read(CLAIMS)
    if project.experiment.recipe is not None or not project.experiment.trains:
        rows = rows.filter((pl.col("of") == claims.RECIPE) | pl.col("verdict").ne("not measured"))
    shown = rows.select("name", "statement", "verdict", "figure", "note")
    return [ClaimRow(*row) for row in shown.iter_rows()]


def report_data(
    project: Project, graph: Graph, board: pl.DataFrame, claimed: list[ClaimRow]
) -> ReportData:
    """Everything that the page shows."""
    experiment, tables = project.experiment, project.workspace.tables
    named = pl.col("mix").is_in(list(experiment.mixes))
    scorer, whole = next(iter(experiment.scorers)), whole_mixes(project)
    results, average = current_results(project), experiment.evaluation.averaged
    return ReportData(
        run=_run_facts(project),
        sources=experiment.source_names,
        terms=dict(terms_of(experiment)),
        leaderboard=with_sweep_names(project, board),
        runs=with_sweep_names(project, runs_of(results, average)),
        chance=average_chance(chances(project, results), averaged_tasks(results, average)),
        mixes=mix_summary(project),
        shares=with_sweep_names(project, source_shares(project)),
        rejects=rejects(project),
        claims=tuple(claimed),
        left_out=_left_out(project),
        thresholds=with_sweep_names(project, tables.scan(THRESHOLDS).filter(named).collect()),
        histograms=_histograms_of(project, scorer),
        diversity=tables.read(DIVERSITY_SUMMARY),
        curves=with_sweep_names(
            project,
            tables.scan(TRAINING_CURVES).filter(named & pl.lit(experiment.trains)).collect(),
        ),
        captioners=captioners(project),
        tasks_shown=_tasks_shown(project),
        examples=tuple(examples(project)),
        discarded=tuple(discarded(project)),
        strips=strips(project),
        against_raw=against_raw(project),
        ancestries=ancestries(graph, whole[:MOST_MIXES]),
        n_more_ancestries=len(whole[MOST_MIXES:]),
        stages=stages_of(graph),
        notes=_notes(project),
        trains=experiment.trains,
        recipe=experiment.recipe,
        searched=searched(project),
        swept=swept_rows(experiment, board, _tasks_shown(project)),
        costs=ledger(tables, charges_of(project)),
        retrieval_task=experiment.report.retrieval_task,
        baseline=experiment.report.raw_filtered,
        score_is=fitting(f"scorers.{scorer}", experiment.scorers[scorer], Scoring).score_is,
    )


def _histograms_of(project: Project, scorer: str) -> pl.DataFrame:
    """The histograms of the sources and partitions that the experiment has now."""
    stored = project.workspace.tables.scan(SCORE_HISTOGRAMS, scorer=scorer)
    return stored.filter(
        pl.col("source").is_in(project.experiment.source_names)
        & pl.col("partition").is_in(list(project.partitions))
    ).collect()


def _tasks_shown(project: Project) -> tuple[str, ...]:
    """Tasks of the curves: the average, and the report's two."""
    report = project.experiment.report
    named = (AVERAGE, report.retrieval_task, report.fine_task)
    return tuple(dict.fromkeys(task for task in named if task))


def _left_out(project: Project) -> pl.DataFrame:
    average = project.experiment.evaluation.averaged
    rows: list[tuple[object, ...]] = []
    for one in left_out(current_results(project), average, project.experiment.left_out):
        change = (one.change.mean, one.change.deviation, one.change.n_seeds)
        rows.append((one.mix, one.source, one.task, one.whole, *change))
    return pl.DataFrame(rows, schema=LEFT_OUT, orient="row")


def _notes(project: Project) -> tuple[str, ...]:
    pool = project.experiment.pool
    of_parts = [one.note for one in stored_parts(project) if one.n_left_out]
    if not pool.notes:
        return tuple(of_parts)
    of_corpora = (note for corpus in project.experiment.corpora.values() for note in corpus.notes)
    return tuple(dict.fromkeys([*pool.notes, *of_corpora, *of_parts]))


def with_sweep_names(project: Project, board: pl.DataFrame) -> pl.DataFrame:
    """Name a mix on a part of the pool after the same mix on all of it: `mix@fraction`."""
    experiment = project.experiment
    # One without a source may have the rules of another mix, and is no point of that one's curve.
    written = {k: mix for k, mix in experiment.mixes.items() if k not in experiment.added_mixes}
    rules = {name: tuple(rule.canonical() for rule in mix.rules) for name, mix in written.items()}
    whole = {rules[name]: name for name, mix in written.items() if not mix.within}
    names = {
        name: f"{whole[rules[name]]}@{mix.within.fraction}"
        for name, mix in written.items()
        if mix.within and rules[name] in whole
    }
    return board.with_columns(pl.col("mix").replace(names))


def _run_facts(project: Project) -> RunFacts:
    experiment = project.experiment
    counts = (
        project.workspace.tables.scan(RAW_POOL)
        .filter(pl.col("partition").is_in(list(project.partitions)))
        .select(n=pl.len(), usable=is_usable().sum())
        .collect()
        .row(0)
    )
    return RunFacts(
        experiment=experiment.name,
        pool=f"{experiment.pool.word}, {len(project.shards)} shards",
        n_pool=counts[0],
        n_usable=counts[1],
        seeds=experiment.training.seeds if experiment.trains else (),
        created=datetime.now(UTC),
        commit=provenance()["recap.commit"],
        machine=machine(),
        details=tuple(_details(experiment)),
    )


def _details(experiment: Experiment) -> Iterator[tuple[str, str]]:
    yield "world seed", str(experiment.seed)
    if experiment.trains:
        yield "samples seen by each CLIP", f"{experiment.training.samples_seen:,}"


def machine() -> str:
    """Processor and cores, for people."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def mix_summary(project: Project) -> pl.DataFrame:
    """MIX_SUMMARY of the experiment's mixes as they are built."""
    means = (
        _current_pairs(project)
        .group_by("mix")
        .agg(
            n_copies=pl.col("copies").cast(pl.Int64).sum(),
            mean_score=pl.col("score").cast(pl.Float64).mean(),
        )
        .collect()
    )
    described = pl.DataFrame(
        [(name, mix.description) for name, mix in project.experiment.mixes.items()],
        schema={"mix": pl.String, "description": pl.String},
        orient="row",
    )
    return (
        described.join(means, on="mix", how="left")
        .join(unique_trigrams_of_mixes(project), on="mix", how="left")
        .select(list(MIX_SUMMARY))
    )


def rejects(project: Project) -> pl.DataFrame:
    """REJECTS of the experiment: samples of the pool and captions that were set aside."""
    tables = project.workspace.tables
    current = pl.col("partition").is_in(list(project.partitions))
    rejected = current & ~is_usable()
    parts = [
        tables.scan(RAW_POOL)
        .filter(rejected)
        .select(pl.lit(RAW_POOL.key()).alias("stage"), "reject_reason")
    ]
    captions = tables.scan(SYNTHETIC_CAPTIONS).filter(
        rejected & pl.col("source").is_in(list(project.experiment.sources))
    )
    parts.append(
        captions.select(
            pl.format("synthetic_captions/{}", "source").alias("stage"), "reject_reason"
        )
    )
    rows = pl.concat(parts).rename({"reject_reason": "reason"})
    counted = rows.group_by("stage", "reason").agg(n=pl.len().cast(pl.Int64))
    return counted.select(list(REJECTS)).sort("stage", "reason").collect()
