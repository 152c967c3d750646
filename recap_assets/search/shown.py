"""What people see of a search: the ranking, the verdict in a sentence, the mix to paste, points."""

import json

import polars as pl
import yaml

from recap_assets.plots.searches import BEST, CANDIDATES, HAND_MADE, POINTS, PROPOSED
from recap_assets.search.verdict import (
    BETTER,
    UNDECIDED,
    best_two,
    difference,
    standing,
    verdict_of,
)
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import with_settings
from recap_assets.specs.searches import Search, Settings


def ranking(rows: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the last round, the best first: trial, mean, deviation, n_pairs, settings.

    Args:
        rows: SEARCH_TRIALS of one search.
    """
    shown = pl.col("settings").map_elements(_setting_list, return_dtype=pl.String)
    ranked = standing(rows).select("trial", "mean", "deviation", "n_pairs", settings=shown)
    return ranked.with_columns(pl.col("settings").fill_null("as written"))


def _setting_list(written: str) -> str:
    return ", ".join(f"{key} = {value}" for key, value in json.loads(written).items())


def sentence(rows: pl.DataFrame, search: Search) -> str:
    """The verdict, with the figures that it rests on.

    Args:
        rows: SEARCH_TRIALS of the search.
        search: With `among` spelled out.
    """
    best = best_two(rows)
    margin = difference(rows, best)
    if margin is None:
        return "Undecided: no proposal, or no mix made by hand, has a result in the last round."
    verdict = verdict_of(margin)
    found, made = best
    figures = f"{found} against {made} on {search.on}: {margin.text}"
    if verdict == UNDECIDED:
        return f"Undecided. {figures}; two seeds at least are needed."
    if verdict == BETTER:
        return f"Better. {figures}: more than the deviation over the seeds."
    return f"No better. {figures}: not above the deviation over the seeds."


def best_settings(rows: pl.DataFrame) -> Settings | None:
    """The settings of the best proposal of the last round; None where there is none."""
    found = rows.filter(pl.col("is_best") & pl.col("settings").is_not_null())["settings"]
    return None if found.is_empty() else json.loads(found[0])


def found_yaml(experiment: Experiment, search: Search, rows: pl.DataFrame) -> str | None:
    """The best proposal as a mix to paste into an experiment file; None where there is none."""
    if (settings := best_settings(rows)) is None:
        return None
    mix = with_settings(experiment, search, settings).mixes[search.mix]
    written = mix.model_dump(mode="json", exclude_defaults=True, exclude={"description"})
    text: str = yaml.safe_dump(
        {"mixes": {f"{search.mix}_found": written}}, sort_keys=False, allow_unicode=True
    )
    return text


def candidates(rows: pl.DataFrame) -> pl.DataFrame:
    """CANDIDATES of a search: the mean of each over the seeds of each round.

    Args:
        rows: SEARCH_TRIALS of it.
    """
    best = rows.filter("is_best")["trial"].unique().implode()
    kind = (
        pl.when(pl.col("settings").is_null())
        .then(pl.lit(HAND_MADE))
        .when(pl.col("trial").is_in(best))
        .then(pl.lit(BEST))
        .otherwise(pl.lit(PROPOSED))
    )
    means = (
        rows.filter(pl.col("value").is_not_null())
        .group_by("round", "samples_seen", "trial", "settings")
        .agg(pl.col("value").mean())
        .with_columns(kind=kind)
    )
    return means.select(list(CANDIDATES)).sort("round", "trial")


def points(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """POINTS: the proposals of the first round by one setting.

    Args:
        rows: SEARCH_TRIALS of a search.
        key: The setting.
    """
    first = rows.filter(pl.col("round") == 0, pl.col("settings").is_not_null())
    values = first.select("trial", x="settings").unique().with_columns(
        pl.col("x").map_elements(lambda one: str(json.loads(one)[key]), return_dtype=pl.String)
    )  # fmt: skip
    results = candidates(rows).filter(pl.col("round") == 0)
    return results.join(values, on="trial").select(list(POINTS)).sort("x", "value")
