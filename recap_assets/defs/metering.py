"""The meter of a run with a budget: what it may spend comes with its tags, and is counted here."""

import json

import dagster as dg

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.charges import charges_of
from recap_assets.engines.gpus import gpus_here
from recap_assets.graph.budget import METER, Budget, Meter, Rate, Spent
from recap_assets.graph.building import Built
from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.node import Node
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import BEFORE, COMPUTED, RESUMED, REUSED

BUDGET_TAG = "recap/budget"
"""Of a run: what it may spend, and what an image of each asset is expected to take, as JSON."""

_METERS: dict[str, Meter] = {}
"""Of the runs of this process, by their ids."""


def meter_of(run: dg.DagsterRun, project: Project, node: Node) -> Meter | None:
    """The meter of a run, set for one of its partitions; None where nothing bounds it."""
    METER.set(None)
    if BUDGET_TAG not in run.tags:
        return None
    if run.run_id not in _METERS:
        given = json.loads(run.tags[BUDGET_TAG])
        rates = {asset: Rate(**rate) for asset, rate in given["rates"].items()}
        _METERS[run.run_id] = Meter(Budget(**given["left"]), rates)
    meter, charges = _METERS[run.run_id], charges_of(project)
    meter.on_gpu = node.gpus != 0 and bool(gpus_here())
    prices = project.experiment.prices
    meter.per_hour = (prices.gpu_hour if meter.on_gpu else prices.cpu_hour) or 0.0
    meter.tokens = lambda prompt, completion: charges.of_tokens(node.key, prompt, completion) or 0.0
    METER.set(meter)
    return meter


def settle(meter: Meter | None, project: Project, node: Node, built: Built) -> None:
    """Count what a partition took that is through; what was reused was not spent."""
    if meter is None:
        return
    facts = built.outcome.facts
    amounts = {n: float(v) for n, v in facts.items() if isinstance(v, int | float)}
    seconds = 0.0
    if not built.reused and TAKEN_OVER not in facts:
        others = (amounts.get(f"seconds{ending}", 0.0) for ending in (BEFORE, RESUMED))
        seconds = max(built.record.seconds - sum(others), 0.0)
    gpu_seconds = seconds if built.record.gpu_seconds else 0.0
    money = project.experiment.prices.of(seconds, gpu_seconds) or 0.0
    if seconds:
        tokens = (int(amounts.get(f"{one}_tokens", 0)) for one in ("prompt", "completion"))
        money += charges_of(project).of_tokens(node.key, *tokens) or 0.0
    n_rows = built.outcome.n_rows if seconds else 0
    if COMPUTED in amounts:
        both = amounts[COMPUTED] + amounts.get(REUSED, 0.0)
        n_rows = round(n_rows * amounts[COMPUTED] / max(both, 1.0))
    # Of what is not computed by shards none was counted. Of what was resumed all was counted that
    # was not there before, which may be nothing.
    is_of_captions = node.key.startswith(f"{SYNTHETIC_CAPTIONS.name}/") and node.rows is not None
    is_counted = f"seconds{RESUMED}" in amounts or not is_of_captions
    n_captions = meter.current.captions or (0 if is_counted else n_rows)
    meter.settle(gpu_seconds, money, n_captions)


def spent_by(run_id: str) -> Spent:
    """What a run of this process has spent; the count ends with it."""
    meter = _METERS.pop(run_id, None)
    METER.set(None)
    return Spent() if meter is None else meter.spent
