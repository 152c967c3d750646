"""Searches: which settings of a mix train the best CLIP, with a budget of small trainings."""

import shutil
from functools import partial

import polars as pl

from recap_assets.artefacts import SEARCH_TRIALS, image_markdown, preview_markdown
from recap_assets.evaluation.assets import SECONDS as EVALUATION_SECONDS
from recap_assets.graph.stage import Node, Project, Rows, Step, StoredRows
from recap_assets.plots.rendering import chart_png
from recap_assets.plots.searches import rounds_chart
from recap_assets.search.halving import Rounds, planned
from recap_assets.search.keeping import Kept
from recap_assets.search.progress import Budget
from recap_assets.search.proposing import optuna_version
from recap_assets.search.proxies import Proxies
from recap_assets.search.reading import reads_of
from recap_assets.search.shown import candidates, found_yaml, ranking, sentence
from recap_assets.search.verdict import rows_of
from recap_assets.specs.base import deciding
from recap_assets.specs.searches import Search
from recap_assets.training.assets import SECONDS_PER_SAMPLE, launcher_of

VERSION = 1
STAGE = "search"
KEPT = "trainings.jsonl"


def nodes(project: Project) -> list[Node]:
    """A node for each search."""
    seeds = project.experiment.training.seeds
    searches = project.experiment.searches.items()
    return [_node(project, name, one.with_defaults(seeds)) for name, one in searches]


def _node(project: Project, name: str, search: Search) -> Node:
    reads = reads_of(project, search)
    evaluation = project.experiment.evaluation
    training = launcher_of(project)
    rounds = list(planned(search, search.rounds(training.samples_seen, search.seeds or ())))
    n_trainings = sum(n for n, _ in rounds)
    seconds = sum(n * (samples * SECONDS_PER_SAMPLE + EVALUATION_SECONDS) for n, samples in rounds)
    return Node(
        key=SEARCH_TRIALS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=reads.dependencies,
        implementation=VERSION,
        decides=deciding(search=search, average=evaluation.averaged, stages=reads.decides),
        compute=lambda step: run_search(project, name, search, step),
        description=f"A search for settings of {search.mix}: {n_trainings} trainings, of "
        f"{search.trials} proposals and {len(search.hand_made)} hand-made mixes.",
        outside=reads.outside,
        content=StoredRows(project.workspace.tables, SEARCH_TRIALS, {"search": name}),
        seconds=seconds,
        pool="gpu" if training.on_gpu else "cpu",
        n_gpus=training.n_gpus,
        kinds=("pytorch", "deltalake"),
    )


def run_search(project: Project, name: str, search: Search, step: Step) -> Rows:
    """Propose, train and compare; what was trained before a crash is not trained again."""
    folder = project.workspace.scratch / SEARCH_TRIALS.key(name) / (step.fingerprint or "direct")
    # Without a fingerprint nothing says what a folder of before was trained on.
    if not step.fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
    step.once_written.append(partial(shutil.rmtree, folder, ignore_errors=True))
    rounds = search.rounds(project.experiment.training.samples_seen, search.seeds or ())
    budget = Budget(planned(search, rounds), step.progress)
    measure = budget.counting(Kept(Proxies(project, search, folder, budget.within), folder / KEPT))
    rows = rows_of(Rounds(search, measure).run(rounds))
    return _shown(project, search, rows)


def _shown(project: Project, search: Search, rows: pl.DataFrame) -> Rows:
    ranked, found = ranking(rows), found_yaml(project.experiment, search, rows)
    aside = rows["reject_reason"].drop_nulls()
    counts = aside.str.split(":").list.first().value_counts(sort=True)
    markdown = {"verdict": sentence(rows, search), "ranking": preview_markdown(ranked, rows=50)}
    if found is not None:
        markdown["found"] = f"```yaml\n{found}```"
    if not (drawn := candidates(rows)).is_empty():
        markdown["rounds"] = image_markdown(chart_png(rounds_chart(drawn, search.on)))
    return Rows(
        rows,
        rejected=dict(counts.iter_rows()),
        facts={
            "trainings": rows.height - len(aside),
            **{
                f"mean/{name}": round(mean, 4)
                for name, mean in ranked.select("trial", "mean").rows()
            },
        },
        markdown=markdown,
        machine={"recap.optuna": optuna_version(), **launcher_of(project).given_by},
    )
