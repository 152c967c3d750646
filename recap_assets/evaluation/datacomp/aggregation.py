"""DataComp's aggregate scores, and its file of results."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from recap_assets.specs.datacomp import AVERAGED, GROUPS, METADATA, TASKS

GROUP_TASK = "datacomp/"
"""What a group's name begins with where it is among tasks."""

_FIELDS = {field for fields in METADATA.values() for field in fields}
_GROUP_OF = re.compile(rf"(?<=_)(?:{'|'.join(sorted(_FIELDS, key=len, reverse=True))}):.*")
"""The group in a metric's name: income_ds:2 in acc_top5_income_ds:2."""

Group = str


@dataclass(frozen=True)
class Aggregates:
    """DataComp's aggregates of one model.

    Attributes:
        values: Mean of the main metrics of each group that is complete, in DataComp's order.
        missing: Tasks of DataComp's 38 without a result; the groups that they are in have no
            value, since a mean over fewer tasks would compare with nothing.
    """

    values: Mapping[Group, float]
    missing: tuple[str, ...]


def aggregate(main_metrics: Mapping[str, float]) -> Aggregates:
    """The aggregates that `aggregate_scores.py` prints.

    Args:
        main_metrics: Main metric of each task, by its name here; other tasks are ignored.
    """
    values = {
        group: sum(main_metrics[name] for name in AVERAGED if name in tasks) / len(tasks)
        for group, tasks in GROUPS.items()
        if tasks <= set(main_metrics)
    }
    return Aggregates(values, tuple(name for name in AVERAGED if name not in main_metrics))


def group_rows(results: pl.DataFrame) -> pl.DataFrame:
    """The complete groups of each training run but ImageNet and the average.

    Args:
        results: EVALUATION_RESULTS.

    Returns:
        Columns mix, seed, task (`datacomp/vtab`, ...), metric (`mean`), value.
    """
    rows: list[tuple[str, int, str, str, float]] = []
    for (mix, seed), values in main_by_run(results).items():
        for group, value in aggregate(values).values.items():
            if group not in ("ImageNet", "Average"):
                rows.append((mix, seed, task_of_group(group), "mean", value))
    schema = {
        "mix": pl.String, "seed": pl.Int64, "task": pl.String, "metric": pl.String,
        "value": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def task_of_group(group: Group) -> str:
    """Under which task the leaderboard lists a group."""
    short = {"ImageNet dist. shifts": "shifts"}.get(group, group)
    return f"{GROUP_TASK}{short.lower()}"


def main_by_run(results: pl.DataFrame) -> dict[tuple[str, int], dict[str, float]]:
    """Main metric of each task of DataComp, by mix and seed, from EVALUATION_RESULTS."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    main = results.filter(pl.col("is_main") & pl.col("task").is_in(AVERAGED))
    for mix, seed, task, value in main.select("mix", "seed", "task", "value").sort(pl.all()).rows():
        found.setdefault((mix, seed), {})[task] = value
    return found


def result_lines(results: pl.DataFrame) -> str:
    """One run's results as DataComp's `eval_results.jsonl`, a line for each of its tasks.

    Args:
        results: Rows of EVALUATION_RESULTS of one mix and seed; tasks of one's own are left out,
            as DataComp's scripts know no others.

    Returns:
        Lines `{"key", "dataset", "metrics": {..., "main_metric"}}` in DataComp's order; the main
        metric of FairFace and UTKFace is null.

    Raises:
        ValueError: Rows of more than one run.
    """
    if results.select("mix", "seed").n_unique() > 1:
        msg = "one file holds the results of one model, but the rows are of several"
        raise ValueError(msg)
    return "".join(
        json.dumps(_line(name, results.filter(pl.col("task") == name).to_dicts())) + "\n"
        for name in TASKS
        if name in set(results["task"])
    )


def _line(name: str, rows: Iterable[Mapping[str, object]]) -> dict[str, object]:
    metrics: dict[str, object] = {}
    main: object = None
    for row in rows:
        metric = str(row["metric"])
        metrics[metric] = row["value"]
        if row["is_main"]:
            main = row["value"]
        if group := _GROUP_OF.search(metric):
            metrics[f"count_{group.group()}"] = row["n_samples"]
    task = TASKS[name]
    return {
        "key": task.key,
        "dataset": task.dataset,
        "metrics": {**metrics, "main_metric": main},
    }
