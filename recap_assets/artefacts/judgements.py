"""What people preferred: the one table that the gallery writes."""

import polars as pl

from recap_assets.artefacts.table import UID, Column, Table, Tables

FIRST, SECOND, NEITHER = "first", "second", "neither"

JUDGEMENTS = Table(
    "judgements",
    "Which of two captions of an image a person preferred, without knowing their sources. Where "
    "somebody compared two captions again, the last row counts.",
    {
        "judge": Column(pl.String, "Who compared them, by the name they gave."),
        "uid": UID,
        "first_source": Column(pl.String, "Source of one caption, the earlier in the experiment."),
        "first_text": Column(pl.String, "That caption."),
        "second_source": Column(pl.String, "Source of the other."),
        "second_text": Column(pl.String, "That caption."),
        "chosen": Column(pl.String, "`first`, `second` or `neither`."),
        "was_swapped": Column(pl.Boolean, "True where the second one was shown on the left."),
        "judged_at": Column(pl.Datetime("us", "UTC"), "When."),
    },
    slices=("judge",),
    order=("judge", "uid", "first_source", "second_source", "judged_at"),
    append_only=True,
)

COMPARED = ("uid", "first_source", "first_text", "second_source", "second_text")
"""What two judgements of one comparison have in common."""


def last_judgements(tables: Tables) -> pl.DataFrame:
    """Each person's last judgement of each comparison."""
    rows = tables.scan(JUDGEMENTS).collect().sort("judged_at")
    return rows.unique(["judge", *COMPARED], keep="last").sort("judge", *COMPARED)


def preferences(tables: Tables) -> pl.DataFrame:
    """The better and the worse text of each judgement that is for one: uid, better, worse.

    Also `better_source` and `worse_source`; people who disagree give a row each.
    """
    rows = last_judgements(tables).filter(pl.col("chosen") != NEITHER)
    is_first = pl.col("chosen") == FIRST

    def of(field: str, when: pl.Expr) -> pl.Expr:
        return pl.when(when).then(f"first_{field}").otherwise(f"second_{field}")

    return rows.select(
        "uid",
        better=of("text", is_first),
        worse=of("text", ~is_first),
        better_source=of("source", is_first),
        worse_source=of("source", ~is_first),
    )
