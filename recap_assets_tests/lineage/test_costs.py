"""The ledger: what was paid once, and what was paid before and reused, counted apart."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.lineage.costs import Charges, added_up, keep_costs, ledger, ledger_rows
from recap_assets.report.costs import costs_of
from recap_assets.specs.prices import Prices
from recap_assets.storage.workspace import Workspace

CAPTIONS = "synthetic_captions/a"
SERVER = {"captioner": {"kind": "openai", "model": "qwen"}}


def receipt(event: int, asset: str = CAPTIONS, **changes: Any) -> dict[str, Any]:
    facts = changes.pop("facts", {})
    return {
        "asset": asset, "partition": "00000", "instance": "i", "event_id": event,
        "built_at": datetime(2026, 11, 28, 12, tzinfo=UTC), "run_id": f"run{event}",
        "reused": False, "data_version": "v", "fingerprint": "f", "code_version": "c",
        "implementation": 1, "decides": json.dumps(SERVER), "inputs": "{}", "input_events": "{}",
        "reads": "{}", "table_versions": "{}", "n_rows": 10, "n_bytes": 5, "seconds": 3_600.0,
        "device": "cpu", "experiment": "", "provenance": "{}", "rejected": "{}",
        "facts": json.dumps(facts), "facets": "{}", "facets_read": "{}", **changes,
    }  # fmt: skip


def receipts(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=LINEAGE.schema, orient="row")


def price(asset: str, prompt: int, completion: int) -> float | None:
    return (prompt + 2 * completion) / 1_000 if asset == CAPTIONS else None


CHARGES = Charges(Prices(gpu_hour=3, cpu_hour=0.5), price)
FREE = Charges(Prices(), lambda _asset, _prompt, _completion: None)


def test_rows_that_were_reused_are_not_paid_for_again() -> None:
    facts = {
        "rows_computed": 2, "rows_reused": 8, "seconds_reused": 2_880.0, "prompt_tokens": 200,
        "completion_tokens": 40, "prompt_tokens_reused": 800, "completion_tokens_reused": 160,
    }  # fmt: skip
    row = ledger_rows(receipts(receipt(1, facts=facts)), CHARGES).row(0, named=True)
    assert (row["source"], row["model"], row["day"]) == ("a", "qwen", date(2026, 11, 28))
    assert (row["rows"], row["seconds"], row["prompt_tokens"]) == (2, 720.0, 200)
    assert (row["rows_reused"], row["seconds_reused"]) == (8, 2_880.0)
    assert row["money"] == pytest.approx(0.5 * 0.2 + 0.28)
    assert row["money_reused"] == pytest.approx(0.5 * 0.8 + 1.12)


def test_a_gpu_is_charged_while_it_is_held() -> None:
    on_gpu = receipts(receipt(1, "clip_scores/l14/raw", device="NVIDIA H200"))
    row = ledger_rows(on_gpu, CHARGES).row(0, named=True)
    assert (row["source"], row["gpu_seconds"], row["money"]) == ("raw", 3_600.0, 3.0)


def test_a_result_that_was_taken_over_was_paid_for_where_it_was_computed() -> None:
    facts = {"taken_over_from": "experiment b, computed on 2026-11-27", "completion_tokens": 40}
    row = ledger_rows(receipts(receipt(1, facts=facts)), CHARGES).row(0, named=True)
    assert (row["seconds"], row["completion_tokens"], row["money"]) == (0.0, 0, 0.0)
    assert (row["rows_reused"], row["seconds_reused"]) == (10, 3_600.0)
    assert (row["completion_tokens_reused"], row["money_reused"]) == (40, 0.5 + 0.08)


def test_what_an_interrupted_computation_took_is_paid_once() -> None:
    facts = {"completion_tokens": 30, "completion_tokens_resumed": 12, "seconds_resumed": 600.0}
    row = ledger_rows(receipts(receipt(1, facts=facts)), CHARGES).row(0, named=True)
    assert (row["completion_tokens"], row["seconds"], row["rows_reused"]) == (42, 3_600.0, 0)


def test_what_was_up_to_date_costs_nothing_and_a_file_without_prices_has_no_money() -> None:
    found = ledger_rows(receipts(receipt(1, reused=True), receipt(2)), FREE)
    assert found["event_id"].to_list() == [2]
    assert added_up(found, ())["money"].to_list() == [None]


def test_a_ledger_has_each_event_once_also_those_from_before_it(tmp_path: Path) -> None:
    tables = Workspace(tmp_path, "e").tables
    first, second = receipts(receipt(1)), receipts(receipt(2, "models/m", seconds=60.0))
    tables.append(LINEAGE, first)
    # What is cut off between ledger and lineage is copied again.
    keep_costs(tables, second, CHARGES)
    keep_costs(tables, second, CHARGES)
    tables.append(LINEAGE, second)
    found = ledger(tables, CHARGES)
    assert found.schema == COSTS.schema
    assert found.select("asset", "seconds").rows() == [("models/m", 60.0), (CAPTIONS, 3_600.0)]
    by_model = added_up(found, ("model",)).select("model", "seconds").rows()
    assert by_model == [("qwen", 3_660.0)]
    stages = {"synthetic_captions": "captions", "models": "models", "curated_mixes": "mixes"}
    costs = costs_of(found, stages).by_model
    *rows, total = costs.rows
    assert [(row.what, row.model) for row in rows] == [
        ("synthetic_captions a", "qwen"), ("models", "qwen"),
    ]  # fmt: skip
    assert dict(zip(costs.columns, total.amounts, strict=True)) == {
        "time": "1 h 1 min", "money": "0.51",
    }  # fmt: skip
    by_stage = costs_of(found, stages).by_stage
    shown = [(row.what, row.amounts[0]) for row in by_stage.rows]
    assert shown == [("captions", "1 h 0 min"), ("models", "60 s"), ("all", "1 h 1 min")]
    assert [row.what for row in costs_of(found, {"models": "models"}).by_stage.rows] == [
        "models", "others", "all",
    ]  # fmt: skip
