"""A swept setting is a curve for each mix that it varies."""

from pathlib import Path

import polars as pl

from recap_assets.artefacts import LEADERBOARD
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.sweeps import swept_chart
from recap_assets.report.swept import swept_rows
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
