"""CapsFusion's own triples, through a pool, by a tiny language model: real alt-text end to end."""

import gzip
import json
from pathlib import Path

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.untrusted.prompt_texts import quoted
from recap_assets_tests.captions.rewriters.tiny_language import save_language_model
from recap_assets_tests.pool.test_bad_input import jpeg
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

N = 48
PROMPT = "Web text: {raw}\nCaption: {blip}\nOne sentence with the facts of both:"


def triples(folder: Path) -> list[dict[str, str]]:
    """The first rows, and those of the first thousand whose alt-text is oddest."""
    with gzip.open(
        folder / "texts" / "capsfusion_triples.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        rows = [json.loads(line) for _, line in zip(range(1_000), file, strict=False)]
    odd = sorted(rows[N // 2 :], key=lambda row: -sum(c in "<>[]{}«»|#:" for c in row["raw"]))
    return [*rows[: N // 2], *odd[: N // 2]]


def test_real_triples_are_rewritten_each_by_itself(tmp_path: Path, shared_data: Path) -> None:
    rows = triples(shared_data)
    (tmp_path / "images").mkdir()
    for number, row in enumerate(rows):
        row["image"] = f"{number:02}.jpg"
        (tmp_path / "images" / row["image"]).write_bytes(jpeg(number))
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    decoding = {"min_tokens": 2, "max_tokens": 8}
    by = {
        "kind": "transformers", "model": str(save_language_model(tmp_path / "model")),
        "decoding": decoding, "device": "cpu",
    }  # fmt: skip
    experiment = tiny_experiment(
        pool={
            "kind": "folder", "images": str(tmp_path / "images"), "text_column": "raw",
            "texts": str(tmp_path / "texts.jsonl"), "columns": {"blip": "table.recaption_blip"},
        },
        sources={
            "sentences": {"kind": "split", "source": "blip"},
            "both": {"kind": "template", "template": "{raw} {blip}"},
            "fused": {"kind": "rewrite", "reads": ["raw", "blip"], "prompt": PROMPT, "by": by},
        },
        mixes={"raw": EXPERIMENT["mixes"]["raw"]},
        report={},
    )  # fmt: skip
    bench = Bench(tmp_path / "data", experiment)
    bench.build("pool", "captions")
    found = bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS)
    fused = found.filter(pl.col("source") == "fused")
    assert fused.height == N
    assert set(fused["status"]) <= {"ok", "truncated", "empty", "degenerate", "refused"}
    assert fused["text"].n_unique() > N / 2
    both = set(found.filter(pl.col("source") == "both")["text"])
    assert {f"{row['raw'].strip()} {row['recaption_blip'].strip()}" for row in rows} == both
    parts = found.filter(pl.col("source") == "sentences").sort("uid", "candidate")
    joined = parts.group_by("uid").agg(pl.col("text").str.join(" "))["text"].to_list()
    assert {" ".join(one.split()) for one in joined} == {
        " ".join(row["recaption_blip"].split()) for row in rows
    }
    for row in rows:
        prompt = PROMPT.replace("{raw}", quoted(row["raw"]))
        assert "\n" not in quoted(row["raw"])
        assert len(prompt) < 1_200
