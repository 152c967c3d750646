"""The leaderboard, and the page."""

import polars as pl

from recap_assets.artefacts.table import MIX, Column, Files, Table

LEADERBOARD = Table(
    "leaderboard",
    "Every mix side by side: mean and deviation over seeds.",
    {
        "mix": MIX,
        "task": Column(
            pl.String, "Evaluation task, `average`, or a group such as `datacomp/vtab`."
        ),
        "metric": Column(pl.String, "The task's main metric."),
        "mean": Column(pl.Float64, "Mean over seeds."),
        "deviation": Column(
            pl.Float64, "Standard deviation over seeds (n - 1); null for one seed.", nullable=True
        ),
        "n_seeds": Column(pl.Int64, "Seeds."),
        "n_pairs": Column(pl.Int64, "Pairs of the mix."),
        "raw_share": Column(pl.Float64, "Share of the pairs with raw text."),
    },
    slices=(),
    order=("mix", "task"),
)

CLAIMS = Table(
    "claims",
    "What papers claim, evaluated by this run: those of the study that the platform follows, and "
    "what a recipe expects.",
    {
        "number": Column(pl.Int64, "Place in the list, from 0."),
        "of": Column(
            pl.String,
            "recipe: of `recipe.expects`. search: of a search. study: of the paper on captioning.",
        ),
        "name": Column(pl.String, "Short name."),
        "statement": Column(pl.String, "What is claimed."),
        "verdict": Column(
            pl.String, "reproduced, not reproduced, holds by design or not measured."
        ),
        "figure": Column(pl.String, "The numbers that the verdict rests on; may be empty."),
        "note": Column(pl.String, "What a reader must know before believing it; may be empty."),
    },
    slices=(),
    order=("number",),
)

REPORT = Files("report")
"""The page."""
