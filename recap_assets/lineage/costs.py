"""The ledger of costs, made of receipts: what was paid, and what was paid before and reused."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.reuse import BEFORE, COMPUTED, RESUMED, REUSED
from recap_assets.specs.prices import Prices
from recap_assets.storage.tables import TableStore

EVENT = ("asset", "partition", "instance", "event_id")
"""Columns that name a receipt."""

TokenPrice = Callable[[str, int, int], float | None]
"""What tokens of an asset cost: the asset, tokens asked and answered; None without a price."""

OF_SOURCE = {"synthetic_captions": 1, "clip_scores": 2, "text_languages": 2}
"""The part of an asset's key that is a caption source, by the first part."""

AMOUNTS = ("rows", "seconds", "gpu_seconds", "prompt_tokens", "completion_tokens", "money")
"""What the ledger adds up; each also with `_reused`."""


@dataclass(frozen=True)
class Charges:
    """The prices by which receipts are made costs.

    Attributes:
        prices: Of machines.
        of_tokens: Of tokens.
    """

    prices: Prices
    of_tokens: TokenPrice


@dataclass(frozen=True)
class _Took:
    rows: int
    seconds: float
    gpu_seconds: float
    prompt_tokens: int
    completion_tokens: int

    def money(self, charges: Charges, asset: str) -> float | None:
        found = [
            charges.prices.of(self.seconds, self.gpu_seconds),
            charges.of_tokens(asset, self.prompt_tokens, self.completion_tokens),
        ]
        priced = [one for one in found if one is not None]
        return sum(priced) if priced else None

    def named(self, ending: str, money: float | None) -> dict[str, object]:
        return {f"{n}{ending}": value for n, value in {**vars(self), "money": money}.items()}


def ledger_rows(receipts: pl.DataFrame, charges: Charges) -> pl.DataFrame:
    """COSTS of receipts; what was up to date already cost nothing and has no row.

    Args:
        receipts: Columns of LINEAGE.
        charges: The prices.
    """
    wanted = receipts.filter(~pl.col("reused")).iter_rows(named=True)
    return pl.DataFrame([_row(one, charges) for one in wanted], schema=COSTS.schema)


def _row(receipt: Mapping[str, Any], charges: Charges) -> dict[str, object]:
    asset, facts = receipt["asset"], json.loads(receipt["facts"])
    paid, before = _took(receipt, facts)
    return {
        **{name: receipt[name] for name in (*EVENT, "run_id")},
        "day": receipt["built_at"].date(),
        "source": _source(asset),
        "model": _model(json.loads(receipt["decides"])),
        **paid.named("", paid.money(charges, asset)),
        **before.named("_reused", before.money(charges, asset)),
    }


def _took(receipt: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[_Took, _Took]:
    """What was paid, and what was paid before."""

    def amount(name: str) -> float:
        value = facts.get(name, 0)
        return value if isinstance(value, int | float) else 0

    on_gpu, seconds = receipt["device"] != "cpu", receipt["seconds"]
    n_rows = int(amount(COMPUTED)) if COMPUTED in facts else receipt["n_rows"]
    tokens = {
        name: (int(amount(name) + amount(f"{name}{RESUMED}")), int(amount(f"{name}{BEFORE}")))
        for name in ("prompt_tokens", "completion_tokens")
    }
    before = min(amount(f"seconds{BEFORE}"), seconds)
    paid = _Took(
        n_rows,
        seconds - before,
        seconds - before if on_gpu else 0.0,
        *(own for own, _ in tokens.values()),
    )
    reused = _Took(
        int(amount(REUSED)),
        before,
        before if on_gpu else 0.0,
        *(others for _, others in tokens.values()),
    )
    if TAKEN_OVER not in facts:
        return paid, reused
    whole = _Took(
        receipt["n_rows"],
        seconds,
        seconds if on_gpu else 0.0,
        *(sum(both) for both in tokens.values()),
    )
    return _Took(0, 0.0, 0.0, 0, 0), whole


def _source(asset: str) -> str:
    parts = asset.split("/")
    place = OF_SOURCE.get(parts[0])
    return parts[place] if place is not None and place < len(parts) else ""


def _model(decides: Mapping[str, object]) -> str:
    """The model that the settings name first, else the kind."""
    specs = [cast("Mapping[str, object]", one) for one in decides.values() if isinstance(one, dict)]
    named = [one[key] for key in ("model", "kind") for one in specs if key in one]
    return next((one for one in named if isinstance(one, str)), "")


def keep_costs(tables: TableStore, receipts: pl.DataFrame, charges: Charges) -> None:
    """Add the costs of receipts that are about to be kept to the ledger."""
    tables.append(COSTS, ledger_rows(receipts, charges))


def ledger(tables: TableStore, charges: Charges) -> pl.DataFrame:
    """COSTS of all receipts, each once; those from before there was a ledger at present prices."""
    kept = tables.scan(COSTS).collect().unique(EVENT, keep="first", maintain_order=True)
    receipts = tables.scan(LINEAGE).filter(~pl.col("reused"))
    columns = (
        *EVENT,
        "run_id",
        "built_at",
        "reused",
        "decides",
        "n_rows",
        "seconds",
        "device",
        "facts",
    )
    missing = receipts.select(columns).join(kept.lazy().select(EVENT), on=EVENT, how="anti")
    rest = ledger_rows(missing.collect().unique(EVENT), charges)
    return pl.concat([kept.select(COSTS.schema.names()), rest]).sort("day", *EVENT)


def added_up(costs: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The amounts for each value of some columns of COSTS, the most seconds first."""
    names = [f"{name}{ending}" for ending in ("", "_reused") for name in AMOUNTS]
    sums = [
        # Without any price there is no sum; polars would say 0.
        pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()) if "money" in n else pl.col(n).sum()
        for n in names
    ]
    named = [one.alias(name) for one, name in zip(sums, names, strict=True)]
    if not by:
        return costs.select(named)
    return (
        costs.group_by(by).agg(named).sort("seconds", *by, descending=[True, *(False for _ in by)])
    )
