"""Tables on terminals of any width, and into a pipe: no name and no time is broken in two."""

import io

import polars as pl
import pytest
from rich.console import Console

from recap_assets.cli import mixes, status
from recap_assets.cli.terminal import SafeConsole, print_table

ASSETS = ("raw_pool", "curated_mixes/best_of_two_captioners", "evaluation_results/raw_top30")


def rows() -> list[dict[str, object]]:
    return [
        {
            "asset": asset, "partitions": 12, "built": 11, "out_of_date": 1, "rows": 12_800_000,
            "rejected": {"missing_image": 12, "undecodable": 3_456} if asset == "raw_pool" else {},
            "last_built": "2026-11-28T03:39:15+00:00",
        }
        for asset in ASSETS
    ]  # fmt: skip


def trial() -> pl.DataFrame:
    names = ("best_of_two_captioners", "raw", "raw_top30_synthetic_rest")
    return pl.DataFrame(
        [
            {
                "mix": name, "n_pairs": 2_801, "n_copies": 2_801, "n_images": 1_801,
                "mean_score": 0.2513, "sample_size": 917, "unique_trigrams": 3_035,
                "source_shares": [{"source": "raw", "share": 0.25}, {"source": "a", "share": 0.75}],
                "thresholds": [{"path": "rules.0", "source": "raw", "value": 0.2313}],
                "overlap": [{"mix": other, "jaccard": 0.32} for other in names if other != name],
            }
            for name in names
        ]
    )  # fmt: skip


def console(width: int, *, terminal: bool) -> Console:
    found = SafeConsole(width=width)
    found.file = io.StringIO()
    found._force_terminal = terminal
    return found


def shown(which: str, width: int, *, terminal: bool = True) -> str:
    to = console(width, terminal=terminal)
    if which == "status":
        print_table(to, status._status_table(rows()), lambda: status._narrow(rows()))
    else:
        print_table(to, mixes._table(trial()), lambda: mixes._narrow(trial()))
        overlap = mixes._overlap(trial(), numbered=True)
        print_table(to, mixes._overlap(trial()), lambda: overlap)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_status_fits_and_breaks_no_name(width: int) -> None:
    text = shown("status", width)
    assert max(map(len, text.splitlines())) <= width
    for whole in ("best_of_two_captioners", "raw_top30", "11-28 03:39", "12,800,000", "11/12"):
        assert whole in text, whole
    assert "3,456 undecodable" in " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_trial_of_mixes_fits_and_breaks_no_name(width: int) -> None:
    text = shown("mix try", width)
    assert max(map(len, text.splitlines())) <= width
    wholes = ("best_of_two_captioners", "raw_top30_synthetic_rest", "25.0 % raw", "75.0 % a")
    for whole in (*wholes, "raw >= 0.2313", "3,035", "0.2513", "2,801", "1,801", "32 %"):
        assert whole in text, whole


@pytest.mark.parametrize("which", ["status", "mix try"])
def test_a_pipe_gets_whole_lines_to_search_in(which: str) -> None:
    lines = shown(which, 60, terminal=False).splitlines()
    for name in ASSETS if which == "status" else ("best_of_two_captioners", "raw"):
        assert any(f" {name} " in line for line in lines)
