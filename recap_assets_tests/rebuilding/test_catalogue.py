"""A catalogue of edits: each computes exactly what depends on it.

What is expected was derived from what each content depends on. Trainings, evaluation, leaderboard
and report follow from the pairs of a mix, and are named by `after`.
"""

import os
from pathlib import Path

import pytest

from recap_assets.graph.former import TAKEN_OVER
from recap_assets_tests.rebuilding.edited import (
    ALL,
    SEED,
    WHOLE,
    Computed,
    Edited,
    only_file,
    scored,
    shards,
    write_drop,
    write_listed,
)
from recap_assets_tests.rebuilding.platform import Sample

pytestmark = pytest.mark.long(reason="an experiment with trainings, built again for each edit")

ONE = {"00001"}
SHOWN = {"leaderboard", "claims", "report"}
"""What is made of all results: whether it changes depends on numbers that no edit decides."""


@pytest.fixture
def world(built: Edited, tmp_path: Path) -> Edited:
    return built.copied(tmp_path / "world")


def trained(*mixes: str) -> dict[str, set[str]]:
    """Trainings of some mixes, and their results."""
    found: dict[str, set[str]] = {}
    for mix in mixes:
        found |= {
            f"training_pairs/{mix}": WHOLE,
            f"trained_clip/{mix}": SEED,
            f"evaluation_results/{mix}": SEED,
        }
    return found


def without_shown(computed: Computed) -> Computed:
    return {asset: keys for asset, keys in computed.items() if asset not in SHOWN}


def test_no_edit(world: Edited) -> None:
    assert world.after() == {}
    assert world.asked == {}


def test_one_alt_text(world: Edited) -> None:
    first, second, third = shards()["00000001"]
    world.rewrite(1, first, Sample(second.uid, "other words", second.image), third)
    computed = without_shown(world.after())
    assert world.asked == {"text embeddings": 1}
    assert computed.pop("curated_mixes/top") in (ONE, ALL)  # by whether the cut-off moved
    assert computed.pop("thresholds/top") == WHOLE
    for asset in ("trained_clip/best", "evaluation_results/best", "training_pairs/best"):
        computed.pop(asset, None)  # by whether the text was the best
    assert computed == {
        "raw_pool": ONE,
        "clip_scores/clip/raw": ONE,
        "diversity_statistics/raw": ONE,
        "diversity_summary": WHOLE,
        "curated_mixes/raw": ONE,
        "curated_mixes/best": ONE,
        "curated_mixes/drawn": ONE,
        "curated_mixes/in_set": ONE,
        **trained("raw", "in_set", "top"),
        **(trained("drawn") if "training_pairs/drawn" in computed else {}),
        **(
            {"export_shards/train": ONE, "exports/train": WHOLE}
            if "training_pairs/drawn" in computed
            else {}
        ),
    }


def test_an_image_that_another_of_equal_size_and_time_replaced(world: Edited) -> None:
    assert world.after() == {}  # the copy's tars are known by their change times from here on
    path = world.folder / "pool" / "00000001.tar"
    before = path.stat()
    first, second, third = shards()["00000001"]
    world.rewrite(1, first, Sample(second.uid, second.text, 999), third)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    computed = world.after()
    assert computed["raw_pool"] == computed["synthetic_captions/a"] == ONE
    assert world.asked["captions"] == 2
    assert world.asked["image embeddings"] == 1


def test_a_tar_that_was_touched_or_written_otherwise(world: Edited) -> None:
    world.rewrite(1, *shards()["00000001"])
    with (world.folder / "pool" / "00000002.tar").open("ab") as tar:
        tar.write(bytes(10_240))
    assert world.after() == {}


def test_an_evaluation_set_that_was_touched(world: Edited) -> None:
    for file in (world.folder / "set").rglob("*"):
        if file.is_file():
            os.utime(file)
    assert world.after() == {}
    (world.folder / "set" / "classnames.txt").write_text("a\nc\n")
    results = {key for key in world.after() if key.startswith("evaluation_results/")}
    assert len(results) == len(world.settings["mixes"])


def test_one_imported_text(world: Edited) -> None:
    write_drop(world.folder, {102: "other"})
    assert without_shown(world.after()) == {
        "imported_captions/drop": WHOLE,
        "synthetic_captions/drop": ONE,
        "import_reports/drop": WHOLE,
        "clip_scores/clip/drop": ONE,
        "diversity_statistics/drop": ONE,
        "diversity_summary": WHOLE,
        "curated_mixes/dropped": ONE,
        **trained("dropped"),
    }
    assert world.asked == {"text embeddings": 1}


def test_imported_rows_in_another_order(world: Edited) -> None:
    write_drop(world.folder, backwards=True)
    assert world.after() == {"imported_captions/drop": WHOLE}


def test_an_imported_caption_that_is_empty_where_there_was_none(world: Edited) -> None:
    write_drop(world.folder, {0: ""})
    computed = world.after()
    assert computed.pop("report") == WHOLE
    assert computed == {
        "imported_captions/drop": WHOLE,
        "synthetic_captions/drop": {"00000"},
        "import_reports/drop": WHOLE,
    }


def test_a_member_less(world: Edited) -> None:
    write_listed(world.folder, 101)
    assert without_shown(world.after()) == {"curated_mixes/in_set": ONE, **trained("in_set")}


def test_members_in_another_order(world: Edited) -> None:
    path = world.folder / "listed.txt"
    path.write_text("\n".join(reversed(path.read_text().split())) + "\n")
    assert world.after() == {}


def test_the_weight_of_a_rule(world: Edited) -> None:
    rules = [{"use": "raw", "where": {"top": 0.5}}, {"use": "a", "weight": 0.7}]
    computed = world.after(**world.mixes(top=scored(rules)))
    assert computed.pop("curated_mixes/top") == ALL
    computed.pop("evaluation_results/top", None)  # by whether so short a training came out equal
    assert without_shown(computed) == {"training_pairs/top": WHOLE, "trained_clip/top": SEED}


def test_the_weights_of_a_draw(world: Edited) -> None:
    drawn = scored([{"use": {"random_of": {"raw": 1, "a": 2.000001}}}])
    computed = world.after(**world.mixes(drawn=drawn))
    # The card has the rules.
    assert computed == {"curated_mixes/drawn": ALL, "exports/train": WHOLE}


def test_a_source_that_is_renamed(world: Edited) -> None:
    sources = {"c" if name == "b" else name: one for name, one in world.settings["sources"].items()}
    best = scored([{"use": {"best_of": ["raw", "c"]}}])
    computed = without_shown(world.after(sources=sources, **world.mixes(best=best)))
    assert world.asked == {}
    assert computed == {
        "synthetic_captions/c": ALL,
        "clip_scores/clip/c": ALL,
        "diversity_statistics/c": ALL,
        "diversity_summary": WHOLE,
        "curated_mixes/best": ALL,
    }


def test_a_source_less_in_a_best_of(world: Edited) -> None:
    one = scored([{"use": {"best_of": ["raw", "a"]}}])
    computed = world.after(**world.mixes(best=one))
    assert "thresholds/best" not in computed
    assert computed["curated_mixes/best"] == ALL


def test_another_mix_without_each_of_its_sources(world: Edited) -> None:
    drawn = scored([{"use": {"random_of": {"raw": 1, "a": 2}}}], leave_one_source_out=True)
    computed = without_shown(world.after(**world.mixes(drawn=drawn)))
    assert not [asset for asset in computed if "export" in asset]
    assert {asset.split("/")[1] for asset in computed} == {"drawn_without_raw", "drawn_without_a"}


def test_a_candidate_more(world: Edited) -> None:
    sources = {
        **world.settings["sources"],
        "b": {**world.settings["sources"]["b"], "candidates": 3},
    }
    computed = without_shown(world.after(sources=sources))
    assert "diversity_statistics/b" not in computed
    assert "export_shards/train" not in computed
    assert computed["synthetic_captions/b"] == computed["clip_scores/clip/b"] == ALL


def test_what_was_taken_away(world: Edited) -> None:
    below = world.data / "tiny" / "tables"
    only_file(below / "score_histograms/scorer=clip/source=a/partition=00001").unlink()
    only_file(below / "curated_mixes/mix=raw/partition=00002").unlink()
    next((world.folder / "data").rglob("export*/train/00001/*.tar")).unlink()
    next((world.data / "tiny" / "trained_clip" / "top").rglob("*.safetensors")).unlink()
    assert world.after() == {
        "clip_scores/clip/a": ONE,
        "curated_mixes/raw": {"00002"},
        "export_shards/train": ONE,
        "trained_clip/top": SEED,
    }


def test_what_is_shown(world: Edited) -> None:
    drawn = scored(world.settings["mixes"]["drawn"]["rules"], description="Drawn.")
    computed = world.after(**world.mixes(drawn=drawn))
    assert computed == {"exports/train": WHOLE, "report": WHOLE}
    report = {**world.settings["report"], "examples": 3}
    assert world.after(**world.mixes(drawn=drawn), report=report) == {"report": WHOLE}


@pytest.mark.parametrize("part", ["sources", "mixes"])
def test_the_order_in_which_things_are_shown(world: Edited, part: str) -> None:
    backwards = dict(reversed(list(world.settings[part].items())))
    assert world.after(**{part: backwards}) == {"report": WHOLE}


def test_regrouped_shards(world: Edited) -> None:
    wider = {**world.settings["pool"], "shards_per_partition": 2}
    computed = world.after(pool=wider)
    assert world.asked == {}
    trainings = ("trained_clip/", "evaluation_results/")
    assert not [asset for asset in computed if asset.startswith(trainings)]


def test_another_mix_of_the_same_pairs(world: Edited) -> None:
    again = scored(world.settings["mixes"]["top"]["rules"], description="Once more.")
    computed = world.after(**world.mixes(again=again))
    assert computed["trained_clip/again"] == SEED
    for made in ("trained_clip", "evaluation_results"):
        assert str(world.facts(f"{made}/again")[TAKEN_OVER]).startswith(f"{made}/top, ")


def test_records_that_are_lost(world: Edited) -> None:
    world.memories[world.data, "tiny"].records.clear()
    world.after()
    assert world.asked == {}
