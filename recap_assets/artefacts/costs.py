"""The ledger: what building each partition took, and what it would have taken again."""

import polars as pl

from recap_assets.artefacts.table import Column, Table

COSTS = Table(
    "costs",
    "A row for every materialization that computed something or took it over: what was paid for "
    "it, and what was paid before and reused. Copied from `lineage`; money is at the prices of the "
    "experiment file then.",
    {
        "asset": Column(pl.String, "The asset's key."),
        "partition": Column(pl.String, "The partition's key; empty for an asset without any."),
        "instance": Column(pl.String, "Id of Dagster's storage, within which events are counted."),
        "event_id": Column(pl.Int64, "Number of the event."),
        "run_id": Column(pl.String, "Dagster's run."),
        "day": Column(pl.Date, "The day, in UTC."),
        "source": Column(pl.String, "The caption source that it is of; empty for none."),
        "model": Column(pl.String, "The model, or the kind of what computed it; empty for none."),
        "rows": Column(pl.Int64, "Rows that were computed; of a partition computed whole, all."),
        "seconds": Column(
            pl.Float64, "What computing took, this time and when it was interrupted."
        ),
        "gpu_seconds": Column(pl.Float64, "Those of them in which a GPU was held."),
        "prompt_tokens": Column(pl.Int64, "Tokens that a server was asked with."),
        "completion_tokens": Column(pl.Int64, "Tokens that were written."),
        "money": Column(pl.Float64, "At the prices of the file; null without any.", nullable=True),
        "rows_reused": Column(pl.Int64, "Rows that were computed before."),
        "seconds_reused": Column(pl.Float64, "What computing them took then."),
        "gpu_seconds_reused": Column(pl.Float64, "Those of them in which a GPU was held."),
        "prompt_tokens_reused": Column(pl.Int64, "Tokens that a server was asked with for them."),
        "completion_tokens_reused": Column(pl.Int64, "Tokens that were written for them."),
        "money_reused": Column(
            pl.Float64, "What they would cost at these prices; null without any.", nullable=True
        ),
    },
    slices=("asset",),
    order=("asset", "partition", "instance", "event_id"),
    append_only=True,
)
