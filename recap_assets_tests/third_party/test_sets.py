"""Sets, targets and language identifiers of another package: built, decided, removed, missed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recap_assets.artefacts.catalogue import TABLES, all_tables
from recap_assets.graph.project import Project
from recap_assets.mixes.of_image import explain_image
from recap_assets.sets.assets import members_of
from recap_assets.specs.kinds import KindError
from recap_assets.specs.loading import UnknownKindError
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.languages import IdentifierContract
from recap_assets.testing.sets import ComputedSetContract, GivenSetContract, TargetContract
from recap_assets_tests.sets.test_assets import STAGES, World, write_shard
from recap_assets_tests.shards.building import uid_of
from recap_assets_tests.third_party import foreign_sets
from recap_assets_tests.third_party.installing import install, look_again, uninstalled
from recap_assets_tests.tiny import Bench, tiny_experiment

AT = "recap_assets_tests.third_party.foreign_sets"
POINTS = {
    "sets": {
        "few_words": f"{AT}:FewWords",
        "mentions": f"{AT}:Mentions",
        "rare_widths": f"{AT}:RareWidths",
        "listed": f"{AT}:Listed",
    },
    "targets": {"axis": f"{AT}:TargetAxis"},
    "languages": {"vowels": f"{AT}:Vowels"},
}
ALL = set(range(24))


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        install(tmp_path_factory.mktemp("site"), patch, "recap-foreign", POINTS)
        yield
    look_again()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    for shard in range(2):
        write_shard(folder, f"{shard:08d}", list(range(12 * shard, 12 * shard + 12)))
    (folder / "words.txt").write_text("boat Hund")
    return World(folder)


def sets_in(world: World) -> dict[str, Any]:
    return {
        "few": {"kind": "few_words", "identifier": "vowels"},
        "mentions": {
            "kind": "mentions", "words": str(world.folder / "words.txt"), "language": None,
        },
        "rare": {"kind": "rare_widths", "times": 24},
        "listed": {"kind": "listed", "uids": [uid_of(3), uid_of(9)]},
        "near": {
            "kind": "image_based", "scorer": "clip", "clusters": 3, "captions": None,
            "target": {"axis": 2},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def bench(world: World) -> Bench:
    bench = world.bench(sets_in(world))
    bench.build(*STAGES)
    return bench


def numbers_of(bench: Bench, name: str) -> set[int]:
    by_uid = {bytes.fromhex(uid_of(number)): number for number in ALL}
    return {by_uid[uid] for uid in members_of(bench.project, name)}


def test_they_are_built_like_ours(bench: Bench) -> None:
    assert numbers_of(bench, "few") == {number for number in ALL if number % 4 == 2}
    assert numbers_of(bench, "mentions") == {number for number in ALL if number % 4 in (1, 3)}
    assert numbers_of(bench, "rare") == set()
    assert numbers_of(bench, "listed") == {3, 9}
    assert numbers_of(bench, "near") == {number for number in ALL if number % 3 == 2}


def test_an_image_is_told_what_keeps_it_out(bench: Bench) -> None:
    words = {
        one.mix: one.explanation.rules[0].words
        for one in explain_image(bench.project, uid_of(4)).mixes
        if one.explanation is not None
    }
    assert "it has 8 words" in words["few"]
    assert "others are as wide" in words["rare"]


def test_each_decides_by_its_distribution_where_it_decides(bench: Bench) -> None:
    given = {"distribution": "recap-foreign", "implementation": 1}
    decides = {key: json.loads(node.decides) for key, node in bench.graph.nodes.items()}
    assert given.items() <= decides["uid_sets/few"]["set"].items()
    assert given.items() <= decides["uid_sets/few"]["identifier"].items()
    assert given.items() <= decides["common_widths/rare"]["widths"].items()
    assert given.items() <= decides["target_clusters/near"]["embedded_by"].items()
    assert "distribution" not in decides["cluster_centroids/near"]["clusters"]


def test_the_bytes_of_a_file_of_theirs_decide(world: World, bench: Bench) -> None:
    other = world.folder / "moved.txt"
    other.write_text("boat Hund")
    sets = sets_in(world)
    moved = world.bench({**sets, "mentions": {**sets["mentions"], "words": str(other)}})
    assert moved.build(*STAGES) == []
    other.write_text("boat")
    assert {asset for asset, _ in moved.build(*STAGES)} == {
        "uid_sets/mentions", "curated_mixes/mentions",
    }  # fmt: skip
    assert bench.build(*STAGES)  # as it was


def test_what_it_filled_leaves_with_it(world: World, bench: Bench) -> None:
    tables = bench.project.workspace.tables
    assert not tables.read(foreign_sets.WIDTHS).is_empty()
    without = world.bench({name: spec for name, spec in sets_in(world).items() if name != "rare"})
    leaving = {one.asset: one for one in without.graph.leaving()}
    leaving["common_widths/rare"].remove()
    assert tables.read(foreign_sets.WIDTHS).is_empty()


def test_their_tables_are_among_all_and_take_no_name_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(all_tables()) - set(TABLES) == {"common_widths"}
    theirs = foreign_sets.WIDTHS
    taken = type(theirs)("uid_sets", theirs.meaning, theirs.columns, theirs.slices, theirs.order)
    monkeypatch.setattr(foreign_sets.RareWidths, "tables", (taken,))
    with pytest.raises(KindError, match=r"'rare_widths' of recap-foreign 1\.2 has a table 'uid_"):
        all_tables()


def test_gone_they_are_missed_by_their_words(world: World) -> None:
    sets, kept = sets_in(world), {"near": sets_in(world)["near"]}
    with uninstalled():
        with pytest.raises(UnknownKindError) as caught:
            tiny_experiment(sets={name: sets[name] for name in ("few", "rare")})
        assert caught.value.words == [("sets", "few_words"), ("sets", "rare_widths")]
        with pytest.raises(UnknownKindError, match=r"sets\.near\.target: a target is one of emb"):
            tiny_experiment(sets=kept)
    experiment = tiny_experiment(sets=sets)
    assert experiment.givers().keys() == {
        "sets.few_words", "sets.mentions", "sets.rare_widths", "sets.listed", "targets.axis",
    }  # fmt: skip


def test_an_identifier_that_needs_nothing_is_always_there(tmp_path: Path) -> None:
    project = Project(tiny_experiment(), Workspace(tmp_path, "tiny"))
    assert set(project.experiment.identifiers) == {"fasttext", "cld3", "vowels"}


class TestFewWords(ComputedSetContract):
    spec = foreign_sets.FewWords(kind="few_words", words=3)


class TestMentions(ComputedSetContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        words = tmp_path_factory.mktemp("given") / "words.txt"
        words.write_text("dog lake")
        self.spec = foreign_sets.Mentions(kind="mentions", words=str(words))


class TestRareWidths(ComputedSetContract):
    spec = foreign_sets.RareWidths(kind="rare_widths")


class TestListed(GivenSetContract):
    spec = foreign_sets.Listed(kind="listed", uids=(uid_of(1),))


class TestVowels(IdentifierContract):
    spec = foreign_sets.Vowels(kind="vowels")


class TestAxis(TargetContract):
    spec = foreign_sets.TargetAxis(axis=1)
