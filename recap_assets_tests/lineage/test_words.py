"""An origin in words: short, complete, and harmless whatever the data says."""

from recap_assets.lineage.walk import lineage_of
from recap_assets.lineage.words import (
    MARKDOWN_LINES,
    flattened,
    headline,
    lineage_markdown,
    preview,
    printable,
    state_lines,
)
from recap_assets_tests.lineage.receipts import Log, build_mix, small_log

HOSTILE = "[bold]x[/bold] <script>alert(1)</script> \x1b[31m | `a`\n# b"


def test_a_state_tells_spec_model_seed_thresholds_tables_code_and_runs() -> None:
    log = Log()
    spec = {
        "captioner": {
            "kind": "hub", "model": "blip2", "revision": "abc",
            "decoding": {"seed": 7, "top_p": 0.9},
        }
    }  # fmt: skip
    provenance = {"recap.commit": "1a2b", "recap.torch": "2.15"}
    log.build("captions", "0", decides=spec, facts={"rules.0.where.top": 0.2812},
              inputs={"outside": "shards"}, provenance=provenance, device="H200")  # fmt: skip
    (state,) = lineage_of(log.receipts(), "captions").root.states
    told = dict(state_lines(state))
    assert told["model"] == "model blip2, revision abc"
    assert told["seed"] == "decoding.seed 7"
    assert told["spec"] == "decoding.top_p 0.9, kind hub"
    assert told["realised"] == "rules.0.where.top 0.2812"
    assert told["read"] == "outside shards"
    assert told["tables"] == "captions at Delta version 1"
    assert told["by"] == "commit 1a2b, torch 2.15"
    assert told["runs"] == "run1"
    assert "2026-01-01 00:00:01 UTC, 1.0 s on H200, code code (implementation 1)" in told["built"]


def test_commit_and_libraries_are_told_where_they_differ() -> None:
    (state,) = lineage_of(small_log().receipts(), "models/captioner").root.states
    assert "by" not in dict(state_lines(state, state.newest))
    assert "by" in dict(state_lines(state))


def test_many_partitions_are_counted_and_not_listed() -> None:
    log = small_log([f"{i:05d}" for i in range(2000)])
    origin = lineage_of(log.receipts(), "curated_mixes/m")
    assert "2,000 partitions, 20,000 rows" in headline(origin.root)
    text = lineage_markdown(origin)
    assert len(text.splitlines()) < 45
    assert "raw\\_pool" in text
    assert "see above" in text


def test_the_markdown_is_cut_at_60_lines_and_says_so() -> None:
    log = Log()
    for i in range(40):
        log.build(f"models/m{i}")
    log.build("mix", "", {f"models/m{i}": "all" for i in range(40)})
    lines = lineage_markdown(lineage_of(log.receipts(), "mix")).splitlines()
    assert len(lines) == MARKDOWN_LINES
    assert "more lines: `recap lineage`" in lines[-1]


def test_hostile_strings_stay_text_in_markdown() -> None:
    log = Log()
    log.build("mix", "0", facts={"caption": HOSTILE}, decides={"note": HOSTILE})
    text = lineage_markdown(lineage_of(log.receipts(), "mix"))
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\\[bold\\]" in text
    assert all(line.lstrip().startswith("- ") for line in text.splitlines())


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
    assert printable("Grün 猫") == "Grün 猫"


def test_nested_specs_are_dotted_paths_without_nulls() -> None:
    spec = {
        "rules": [{"use": "raw", "where": {"top": 0.3}}],
        "scorer": None,
        "sets": [],
        "n": [1, 2],
    }
    assert flattened(spec) == {"rules.0.use": "raw", "rules.0.where.top": "0.3", "n": "[1, 2]"}


def test_a_partition_that_was_just_built_is_told_before_its_event_is_written() -> None:
    log = small_log()
    receipts = log.receipts()
    build_mix(log, "00001", decides={"top": 0.5}, version="new")
    new = log.rows[-1]
    known = ("asset", "partition", "instance", "data_version", "decides", "reads", "inputs",
             "input_events", "n_rows")  # fmt: skip
    text = preview(receipts, {name: new[name] for name in known})
    lines = text.splitlines()
    assert lines[0].startswith("- **curated\\_mixes/m**: version ")
    assert "  - spec: top 0.5" in lines
    assert any(line.strip().startswith("- **raw\\_pool**: version") for line in lines)
    # The threshold read all partitions' scores: that is told, and not followed.
    assert any("read: clip\\_scores/clip/a 2x" in line for line in lines)
    assert not any("2 partitions" in line for line in lines)
    assert len(log.receipts().of("curated_mixes/m")) == 3
    assert len(receipts.of("curated_mixes/m")) == 2
