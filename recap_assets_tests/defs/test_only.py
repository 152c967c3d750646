"""Captions that no mix can take are not made, and the mixes are those of all captions."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.graph.building import build_partition
from recap_assets.graph.planner import OutOfDate, plan
from recap_assets.mixes.left_out import Planned, stored_parts
from recap_assets.mixes.needed import CaptionLeftOutError
from recap_assets.specs.loading import ExperimentError
from recap_assets.specs.needed import needs_of
from recap_assets_tests.defs.counting_kinds import POINTS, asked
from recap_assets_tests.defs.test_rows import (
    BARE,
    IMAGE_SCORERS,
    SCORERS,
    Platform,
    Sample,
    pool_of,
)
from recap_assets_tests.mixes.drawn_mixes import Drawn, Scores
from recap_assets_tests.registering import registered


@dataclass
class Quick(Platform):
    """Plans once for all that can be built."""

    def build(self, stages: Collection[str] = (), **changes: Any) -> dict[str, int]:  # noqa: ARG002 - it builds STAGES
        asked()
        self.open(**changes)
        while ready := [one for one in plan(self.graph, self.memory).ready if self.wants(one)]:
            for entry in ready:
                node = self.graph.nodes[entry.asset]
                built = build_partition(self.graph, self.memory, node, entry.partition)
                self.memory.keep(node, entry.partition, built)
                self.receipt(node, entry.partition, built)
        return asked()

    def wants(self, entry: OutOfDate) -> bool:
        return self.graph.nodes[entry.asset].stage in STAGES


STAGES = {"pool", "captions", "scores", "sets", "mixes"}
N = 60
ALL = {"a": {"kind": "counting", "candidates": 2}, "b": {"kind": "counting", "temperature": 2.0}}
COLUMNS = Scores(
    known=("raw", "clip.raw", "pairs.raw", "shades"),
    others=("texts.raw", "a", "texts.b", "used"),
    ranks="texts",
)
MAIN = [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    settings: dict[str, Any] = {
        **BARE, "sources": ALL, "scorers": SCORERS, "image_scorers": IMAGE_SCORERS,
        "pool": pool_of(tmp_path), "evaluation": {}, "mixes": mixes(main=MAIN),
    }  # fmt: skip
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path / "site", "tasks", *families):
        found = Quick(tmp_path, tmp_path / "data", settings)
        found.write(shards(Random(0)))  # noqa: S311 - no secret
        yield found


def shards(draw: Random) -> dict[str, list[Sample]]:
    """Two shards; one sample in ten has no text."""
    words = ["a dog", "two cats", "sky", "the red house", "sale", "image 12", "buy now", "tree"]
    texts = [
        "" if draw.random() < 0.1 else " ".join(draw.sample(words, draw.randint(1, 4)))
        for _ in range(N)
    ]
    return {
        f"{number:08d}": [Sample(i, texts[i], i) for i in range(30 * number, 30 * number + 30)]
        for number in range(2)
    }


def mixes(**rules: Any) -> dict[str, Any]:
    return {
        name: {"scorer": "clip", **(one if isinstance(one, dict) else {"rules": one})}
        for name, one in rules.items()
    }


def only(what: Any, *names: str) -> dict[str, Any]:
    """The sources, of which some have this `only`."""
    return {name: {**one, "only": what} if name in names else one for name, one in ALL.items()}


def selected(platform: Platform) -> dict[str, list[Any]]:
    rows = platform.project.workspace.tables.read(CURATED_MIXES)
    rows = rows.sort(*CURATED_MIXES.slices, *CURATED_MIXES.order)
    return {name: part.rows() for (name,), part in rows.partition_by("mix", as_dict=True).items()}


def captioned(platform: Platform, source: str = "a") -> set[bytes]:
    rows = platform.project.workspace.tables.read(SYNTHETIC_CAPTIONS, source=source)
    return set(rows["uid"])


@pytest.mark.long(reason="twenty builds")
@pytest.mark.parametrize("seed", range(10))
def test_mixes_are_those_of_all_captions(
    platform: Platform, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn, some = Drawn(seed, COLUMNS), platform.folder / "some.npy"
    halves = [(0, i) for i in range(N) if drawn.draw.random() < 0.4]
    np.save(some, np.array(halves, dtype="u8,u8"))
    many = mixes(**{f"mix{i}": drawn.mix() for i in range(2)})
    changes = {"mixes": many, "sets": {"some": {"uids": str(some)}}}
    every = platform.build(**changes)
    expected = selected(platform)
    other = replace(platform, data=platform.folder / "part")
    part = other.build(**changes, sources=only("used", "a", "b"))
    assert selected(other) == expected
    assert _values(other) == _values(platform)
    assert every["captions"] == 2 * N
    needs = [needs_of(other.project.experiment, name) for name in ALL]
    may_leave_out = any(one is not None and not one.whole for one in needs)
    saved = 1 - part.get("captions", 0) / every["captions"]
    assert saved >= 0 if may_leave_out else saved == 0
    with capsys.disabled():
        print(f"\nseed {seed}: {100 * saved:.1f} % of captions saved", end=" ")  # noqa: T201


def _values(platform: Platform) -> list[Any]:
    rows = platform.project.workspace.tables.read(THRESHOLDS)
    return rows.select("mix", "path", "value").sort("mix", "path").rows()


def test_the_main_mix_saves_the_captions_of_the_images_that_keep_their_text(
    platform: Platform,
) -> None:
    every = platform.build(sources=only(None, "b"))["captions"]
    expected = selected(platform)
    other = replace(platform, data=platform.folder / "part")
    made = other.build(sources=only("used", "a", "b"))["captions"]
    kept = {row[3] for row in expected["main"] if row[4] == "raw"}
    # No mix takes captions of b.
    assert (every, made) == (2 * N, N - len(kept))
    assert selected(other) == expected
    assert captioned(other) == captioned(platform) - kept
    assert captioned(other, "b") == set()
    assert other.facts("synthetic_captions/a")["left_out"] > 0
    words = [one.words for one in stored_parts(other.project)]
    saved = f"{len(kept)} captions ({100 * len(kept) / N:.1f} %) are saved, which no mix can take"
    assert words == [
        f"a captions {made} of {N} images; {saved}",
        f"b captions 0 of {N} images; {N} captions (100.0 %) are saved, which no mix can take",
    ]


def test_a_wider_mix_asks_for_the_difference_and_a_plan_says_so(platform: Platform) -> None:
    sources = only("used", "a")
    platform.build(sources=sources)
    narrow = captioned(platform)
    wider = mixes(main=[{"use": "raw", "where": {"top": 0.1}}, {"use": "a"}])
    platform.open(sources=sources, mixes=wider)
    entries = plan(platform.graph, platform.memory).entries
    planned = Planned(platform.project, platform.graph, {entry.asset for entry in entries})
    n_new = sum(one.computed for one in planned.counts.values())
    assert sum(one.reused for one in planned.counts.values()) == len(narrow)
    (part,) = planned.parts
    assert part.n_images - part.n_left_out == len(narrow) + n_new
    assert platform.build(sources=sources, mixes=wider)["captions"] == n_new > 0
    assert captioned(platform) > narrow
    # Without `only` the rest is made, and with it once more nothing is.
    platform.build(mixes=wider, sources=only(None, "a"))
    assert captioned(platform) == captioned(platform, "b")
    assert platform.build(sources=sources).get("captions", 0) == 0
    assert captioned(platform) == narrow


def test_a_source_that_is_ranked_as_a_whole_is_captioned_whole(platform: Platform) -> None:
    ranking = mixes(
        main=[{"use": "raw", "where": {"top": 0.3}}, {"use": "a", "where": {"top": 0.5}}]
    )
    platform.build(sources=only("used", "a"), mixes=ranking)
    assert captioned(platform) == captioned(platform, "b")
    (part,) = stored_parts(platform.project)
    assert part.words == (
        "a captions all images: mixes.main.rules.1.where.top ranks the scores of a over the whole "
        "pool"
    )


def test_a_condition_captions_its_images_and_mixes_that_want_more_are_not_built(
    platform: Platform,
) -> None:
    rest = {"without": {"top": 0.3, "of": "clip.raw"}}
    platform.build()
    expected = selected(platform)
    other = replace(platform, data=platform.folder / "part")
    other.build(sources=only(rest, "a"))
    assert selected(other) == expected
    wider = mixes(main=[{"use": "raw", "where": {"top": 0.1}}, {"use": "a"}])
    platform.build(mixes=wider)
    n_more = _n_raw(expected) - _n_raw(selected(platform))
    with pytest.raises(
        CaptionLeftOutError, match=r"mixes.main may take \d+ captions of a in 00000"
    ):
        other.build(sources=only(rest, "a"), mixes=wider)
    (part,) = stored_parts(other.project)
    assert part.lacking == {"main": n_more}
    assert part.words.endswith(f"mixes.main may take {n_more} of those")


def _n_raw(pairs: Mapping[str, list[Any]]) -> int:
    return sum(pair[4] == "raw" for pair in pairs["main"])


@pytest.mark.parametrize(
    ("sources", "rules", "message"),
    [
        (only({"top": 0.3}, "a"), MAIN, r"sources.a.only: a is a score of the captions .*a → sour"),
        (only({"top": 0.3, "of": "texts.a"}, "a"), MAIN, r"sources.a.only: texts.a is a score"),
        (
            {**ALL, "a": {**ALL["a"], "only": {"at_least": 1, "of": "clip.c"}},
             "c": {"kind": "template", "template": "{b} {a}"}}, MAIN,
            r"sources.a.only: clip.c is a score .*: sources.a → sources.c → sources.a",
        ),
        (
            {"a": {**ALL["a"], "only": {"at_least": 0.1, "of": "clip.b"}},
             "b": {**ALL["b"], "only": {"at_least": 0.1, "of": "clip.a"}}}, MAIN,
            r"sources.a.only: sources.b.only reads the scores of a, and a part",
        ),
        (only({"top": 0.3, "of": "raw"}, "a"), MAIN, r"whose score of raw is meant\? Name one of "),
        (
            only({"top": 0.3, "of": "clip.raw"}, "a"), [{"use": "a", "where": {"best": 3}}],
            r"sources.a.only: mixes.main.rules.0.where.best ranks the scores of a over the whole",
        ),
        (only({"in_set": "other"}, "a"), MAIN, r"sources.a.only.in_set: there is no 'other'"),
        (only("all", "a"), MAIN, r"sources.a.*only: Input should be 'used'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(
    platform: Platform, sources: Any, rules: Any, message: str
) -> None:
    with pytest.raises(ExperimentError, match=message):
        platform.open(sources=sources, mixes=mixes(main=rules))
