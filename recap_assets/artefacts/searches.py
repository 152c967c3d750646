"""Trainings of searches."""

import polars as pl

from recap_assets.artefacts.table import REASON, SEED, STATUS, Column, Table

SEARCH_TRIALS = Table(
    "search_trials",
    "Every training of a search for the settings of a mix, proposed and hand-made ones.",
    {
        "search": Column(pl.String, "Search."),
        "round": Column(pl.Int64, "Round, from 0; each has more samples than the one before."),
        "trial": Column(pl.String, "`trial 07` of the proposals, from 0; a hand-made mix's name."),
        "seed": SEED,
        "samples_seen": Column(pl.Int64, "Pairs seen by the training."),
        "settings": Column(
            pl.String, "The proposed settings, as JSON; null for a hand-made mix.", nullable=True
        ),
        "value": Column(
            pl.Float64, "What is maximised; null where nothing was trained.", nullable=True
        ),
        "n_pairs": Column(pl.Int64, "Pairs trained on."),
        "status": STATUS,
        "reject_reason": REASON,
        "is_best": Column(
            pl.Boolean,
            "Whether it is of the best proposal of the last round, or of its best hand-made mix.",
        ),
        "verdict": Column(
            pl.String,
            "Of the best proposal against the best hand-made mix, in its rows: `better` where it "
            "is above it by more than the deviation over the seeds, `no better`, or `undecided`.",
            nullable=True,
        ),
    },
    slices=("search",),
    order=("round", "trial", "seed"),
)
