"""What was built from what, by which experiment."""

import polars as pl

from recap_assets.artefacts.table import Column, Table

LINEAGE = Table(
    "lineage",
    "A row for every materialization: what was built from what. Copied from Dagster's event log, "
    "and kept when an asset leaves the experiment or Dagster's storage is lost.",
    {
        "asset": Column(pl.String, "The asset's key."),
        "partition": Column(pl.String, "The partition's key; empty for an asset without any."),
        "instance": Column(pl.String, "Id of Dagster's storage, within which events are counted."),
        "event_id": Column(pl.Int64, "Number of the event; later ones have greater numbers."),
        "built_at": Column(pl.Datetime("us", "UTC"), "When."),
        "run_id": Column(pl.String, "Dagster's run."),
        "reused": Column(pl.Boolean, "True where nothing was computed: it was up to date."),
        "data_version": Column(pl.String, "Hash of the content."),
        "fingerprint": Column(pl.String, "Hash of the code version and of the inputs' versions."),
        "code_version": Column(pl.String, "Hash of `implementation` and `decides`."),
        "implementation": Column(pl.Int32, "Version of the code."),
        "decides": Column(pl.String, "JSON: what the specs said then that decides the content."),
        "inputs": Column(pl.String, "JSON: version of each input, by name."),
        "input_events": Column(pl.String, "JSON: newest event that was read, by asset."),
        "reads": Column(pl.String, "JSON: `same` (the partition of this key) or `all`, by asset."),
        "table_versions": Column(
            pl.String, "JSON: Delta version at which the slice can be read, by table."
        ),
        "n_rows": Column(pl.Int64, "Rows."),
        "n_bytes": Column(pl.Int64, "Bytes written when it was written last."),
        "seconds": Column(pl.Float64, "What computing it took."),
        "device": Column(pl.String, "What computed it."),
        "experiment": Column(pl.String, "Hash of the whole experiment; see `experiments`."),
        "provenance": Column(
            pl.String,
            "JSON: git commit, library versions; threads and processor of what torch computed.",
        ),
        "rejected": Column(pl.String, "JSON: rows set aside, by reason."),
        "facts": Column(pl.String, "JSON: realised thresholds, counts and the like."),
        "facets": Column(
            pl.String, "JSON: version of each facet of the content, by name.", default="{}"
        ),
        "facets_read": Column(
            pl.String,
            "JSON: by asset, version of the facets that were read, where it was not read whole.",
            default="{}",
        ),
    },
    slices=("asset",),
    order=("asset", "partition", "instance", "event_id"),
    append_only=True,
)

EXPERIMENTS = Table(
    "experiments",
    "Every experiment that something was built for, whole.",
    {
        "experiment": Column(pl.String, "Hash of `content`."),
        "name": Column(pl.String, "Its name."),
        "content": Column(pl.String, "JSON: the experiment as parsed, every default said."),
        "first_used": Column(pl.Datetime("us", "UTC"), "When something was first built for it."),
    },
    slices=("experiment",),
    order=("name",),
)
