"""A swept setting is a curve for each mix that it varies."""

from pathlib import Path

import polars as pl

from recap_assets.artefacts import LEADERBOARD
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.sweeps import swept_chart
from recap_assets.report.swept import swept_rows, written_sources
from recap_assets_tests.specs.test_sweeps import swept

VALUES = {0.5: 0.3, 1.5: 0.2, 1.0: 0.4}


def board() -> pl.DataFrame:
    rows = [
        {"mix": f"{mix}_temperature_{str(value).replace('.0', '').replace('.', '_')}"}
        | {"task": task, "metric": "acc1", "mean": mean + (mix == "told"), "deviation": None}
        | {"n_seeds": 1, "n_pairs": 5, "raw_share": 0.0}
        for mix in ("both", "told")
        for value, mean in VALUES.items()
        for task in ("average", "fine")
    ]
    return pl.DataFrame(rows, LEADERBOARD.schema)


def test_the_points_of_a_curve_are_those_of_the_leaderboard(tmp_path: Path) -> None:
    experiment = swept(tmp_path, "sources.a.decoding.temperature: [0.5, 1.5, 1.0]")
    rows = swept_rows(experiment, board(), ("average",))
    assert rows["sweep"].unique().to_list() == ["sources.a.decoding.temperature"]
    for mix, above in (("both", 0.0), ("told", 1.0)):
        curve = rows.filter(mix=mix).select("value", "mean").rows()
        assert curve == [(str(value), mean + above) for value, mean in VALUES.items()]
    # A mix that uses no varied part has no curve; nor has one that has no results yet.
    assert set(rows["mix"]) == {"both", "told"}


def test_numbers_are_drawn_in_their_order_and_words_as_they_are_written() -> None:
    schema = {"sweep": "s", "mix": "m", "task": "average", "mean": 0.5, "deviation": 0.1}
    numbers = pl.DataFrame([{**schema, "value": value} for value in ("2", "10", "1")])
    words = pl.DataFrame([{**schema, "value": value} for value in ("nucleus", "beams")])
    assert swept_chart(numbers, "top").to_dict()["layer"][1]["encoding"]["x"]["axis"]["values"] == [
        1.0, 2.0, 10.0,
    ]  # fmt: skip
    drawn = swept_chart(words, "strategy").to_dict()["layer"][1]["encoding"]["x"]
    assert (drawn["type"], drawn["sort"]) == ("ordinal", ["nucleus", "beams"])
    assert "<svg" in chart_svg(swept_chart(words, "strategy"), "swept")


def test_the_mix_as_it_is_written_is_a_point_at_the_value_that_the_file_has(tmp_path: Path) -> None:
    experiment = swept(tmp_path, "mixes.raw.rules.0.where.top: [0.1, 0.25]")
    seen = {"raw": 0.5, "raw_top_0_1": 0.3, "raw_top_0_25": 0.4, "both": 0.9}
    rows = [
        {"mix": mix, "task": "average", "metric": "acc1", "mean": mean, "deviation": None}
        | {"n_seeds": 1, "n_pairs": 5, "raw_share": 0.0}
        for mix, mean in seen.items()
    ]
    found = swept_rows(experiment, pl.DataFrame(rows, LEADERBOARD.schema), ("average",))
    points = found.select("mix", "value", "mean").rows()
    assert points == [("raw", "0.3", 0.5), ("raw", "0.1", 0.3), ("raw", "0.25", 0.4)]


def test_the_values_of_an_axis_are_not_rounded() -> None:
    schema = {"sweep": "s", "mix": "m", "task": "average", "mean": 0.5, "deviation": None}
    drawn = chart_svg(swept_chart(pl.DataFrame([{**schema, "value": "0.125"}]), "part"), "part")
    assert ">0.125<" in drawn


def board_of(means: dict[str, float]) -> pl.DataFrame:
    rows = [
        {"mix": mix, "task": task, "metric": "acc1", "mean": mean, "deviation": None}
        | {"n_seeds": 1, "n_pairs": 5, "raw_share": 0.0}
        for mix, mean in means.items()
        for task in ("average", "fine")
    ]
    return pl.DataFrame(rows, LEADERBOARD.schema)


def test_sweeps_of_one_setting_are_one_set_of_curves(tmp_path: Path) -> None:
    """Each mix begins at the value that the file gives it, by its own sweep."""
    experiment = swept(
        tmp_path, "mixes.raw.rules.0.where.top: [0.1]", "mixes.half.rules.0.where.top: [0.1]",
        mixes="  half: [{use: b, where: {top: 0.5}}]",
    )  # fmt: skip
    means = {"raw": 0.5, "raw_top_0_1": 0.3, "half": 0.8, "half_top_0_1": 0.6}
    found = swept_rows(experiment, board_of(means), ("average",))
    assert found.select("sweep", "mix", "value", "mean").rows() == [
        ("rules.0.where.top", "raw", "0.3", 0.5),
        ("rules.0.where.top", "raw", "0.1", 0.3),
        ("rules.0.where.top", "half", "0.5", 0.8),
        ("rules.0.where.top", "half", "0.1", 0.6),
    ]


def test_a_part_of_the_pool_ends_at_the_whole_and_its_average_is_drawn_elsewhere(
    tmp_path: Path,
) -> None:
    experiment = swept(tmp_path, "mixes.raw.within.fraction: [0.25]")
    means = {"raw": 0.5, "raw_fraction_0_25": 0.3}
    found = swept_rows(experiment, board_of(means), ("average", "fine"))
    points = [("fine", "1.0", 0.5), ("fine", "0.25", 0.3)]
    assert found.select("task", "value", "mean").rows() == points


def test_sources_that_a_sweep_adds_are_not_those_of_the_file(tmp_path: Path) -> None:
    experiment = swept(tmp_path, "sources.a.decoding.temperature: [0.5]")
    assert "a_temperature_0_5" in experiment.source_names
    assert written_sources(experiment) == ("raw", "a", "best", "b")
