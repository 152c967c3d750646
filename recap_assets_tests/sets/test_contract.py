"""The public contracts of sets, kept by every kind of ours and not by broken ones."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

from recap_assets.graph.project import Project
from recap_assets.sets.kind import ComputedSet, GivenSet, Requirement, Samples
from recap_assets.sets.kinds.image_based.target_embeddings import TargetEmbeddings
from recap_assets.sets.kinds.image_based.target_images import TargetImages
from recap_assets.sets.targets import Embedded
from recap_assets.specs.kinds import kinds_of
from recap_assets.testing.sets import (
    ComputedSetContract,
    GivenSetContract,
    ImagesTargetContract,
    TargetContract,
)
from recap_assets.testing.stored_pool import uid_of, vector_of
from recap_assets_tests.sets.kinds.text_based.wordnet_files import write_wordnet
from recap_assets_tests.shards.building import jpeg

Given = dict[str, Any]


def image_based(folder: Path) -> Given:
    np.save(folder / "targets.npy", vector_of(1)[None])
    target = {"embeddings": str(folder / "targets.npy")}
    return {"scorer": "clip", "target": target, "clusters": 3, "sample": 0.9}


def text_based(folder: Path) -> Given:
    files = write_wordnet(folder / "wordnet")
    (folder / "synsets.txt").write_text(f"n{files.synset('n', 'dog'):08d}")
    return {"wordnet": str(files.folder), "synsets": str(folder / "synsets.txt")}


def entries(folder: Path) -> Given:
    (folder / "list.txt").write_text("dog\nboat\nHund\n")
    return {"entries": str(folder / "list.txt"), "t": 1}


def by_language(folder: Path) -> Given:
    for language, entry in {"en": "dogs", "de": "Hund"}.items():
        (folder / f"{language}.txt").write_text(f"{entry}\nnever\n")
    return {"entries": str(folder), "t": 1, "by_language": True}


KINDS: dict[str, list[Callable[[Path], Given]]] = {
    "no_filter": [lambda _: {}],
    "basic": [lambda _: {}, lambda _: {"language": None, "min_side": 350}],
    "laion2b": [lambda _: {"scorer": "clip", "threshold": 0.2}],
    "text_based": [text_based],
    "image_based": [image_based, lambda folder: {**image_based(folder), "captions": None}],
    "unique": [
        lambda _: {"by": "sha256"},
        lambda _: {"by": "perceptual", "keep": "first"},
        lambda _: {"by": "embedding", "scorer": "clip", "cosine": 0.9999},
        lambda _: {"by": "text"},
    ],
    "image_score": [lambda _: {"scorer": "aesthetic", "at_least": 2, "at_most": 7}],
    "words": [
        lambda _: {"any": ["dog", "Hund"], "none": ["boat"]},
        lambda _: {"columns": {"width": {"at_least": 350}}},
    ],
    "balanced": [
        lambda _: {"scorer": "clip", "clusters": 3, "per_cluster": 2, "best_by": "raw"},
        lambda _: {"scorer": "clip", "clusters": 3, "per_cluster": 2, "score_by": "aesthetic"},
    ],
    "frequency": [lambda _: {"images_per_text": 2, "frequent_ngrams": 15}],
    "entries": [entries, by_language],
}
"""What a user may write of each kind."""


@pytest.fixture(scope="module")
def spec_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ComputedSet]:
    """The set of what a user wrote, with its files, which are written once."""

    @cache
    def made(kind: str, write: Callable[[Path], Given]) -> ComputedSet:
        spec = kinds_of("sets")[kind].spec
        assert spec is not None
        fields = write(tmp_path_factory.mktemp("given"))
        return spec.model_validate({"kind": kind, **fields})  # type: ignore[return-value]

    return made


@pytest.mark.parametrize(
    ("kind", "write"), [(kind, write) for kind, several in KINDS.items() for write in several]
)
class TestComputed(ComputedSetContract):
    @pytest.fixture(autouse=True)
    def given(
        self,
        kind: str,
        write: Callable[[Path], Given],
        spec_of: Callable[..., ComputedSet],
    ) -> None:
        self.spec = spec_of(kind, write)


class TestFile(GivenSetContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        path = tmp_path / "some.txt"
        path.write_text("".join(f"{uid_of(number).hex()}\n" for number in (3, 1)))
        spec = kinds_of("sets")["file"].spec
        assert spec is not None
        self.spec = spec.model_validate({"uids": str(path)})  # type: ignore[assignment]


class TestTargetEmbeddings(TargetContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("given")
        for number in range(2):
            np.save(folder / f"{number}.npy", vector_of(number)[None].repeat(3, axis=0))
        self.spec = TargetEmbeddings(embeddings=str(folder))


class TestTargetImages(ImagesTargetContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("given")
        for number in range(3):
            (folder / f"{number}.jpg").write_bytes(jpeg(number))
        (folder / "broken.png").write_bytes(b"no image")
        self.spec = TargetImages(images=str(folder))


class Drawn(TargetEmbeddings):
    """Embeddings of a draw without a seed."""

    def embedded(self, project: Project, scorer: str) -> Iterator[Embedded]:  # noqa: ARG002
        yield np.random.default_rng().random((2, 6)), 0


def test_the_contract_of_targets_fails_for_a_draw(tmp_path: Path) -> None:
    contract = TargetContract()
    contract.spec = Drawn(embeddings="none.npy")
    with pytest.raises(AssertionError):
        contract.test_embeddings_are_rows_of_one_space_and_stay_the_same(tmp_path)


def test_each_kind_is_held() -> None:
    ours = {name: kind.spec for name, kind in kinds_of("sets").items() if kind.is_ours}
    given = {name for name, spec in ours.items() if spec and issubclass(spec, GivenSet)}
    assert given == {"file"}
    assert ours.keys() - given == KINDS.keys()


class Broken(ComputedSet):
    """Images that are wider than most of those beside them."""

    kind: Literal["broken"]

    def requirements(self) -> tuple[Requirement, ...]:
        wide = pl.col("width") >= pl.col("width").mean()
        return (Requirement("narrow", wide, lambda _: "it is narrow"),)


class Wide(Broken):
    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("narrow", pl.col("width") > 400, lambda _: "it is narrow"),)


class Silent(Wide):
    """Says nothing of an image that it does not take."""

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("narrow", pl.col("width") > 400, lambda _: " "),)


class Losing(Wide):
    """Has no row of some samples."""

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:  # noqa: ARG002
        return known.filter(pl.col("width") > 350)


class Wordy(Wide):
    """Gives sentences for reasons."""

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("It is narrow.", pl.col("width") > 400, lambda _: "it is narrow"),)


def broken(kind: type[Broken]) -> ComputedSetContract:
    contract = ComputedSetContract()
    contract.spec = kind(kind="broken")
    return contract


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Broken, "test_members_are_the_same_in_any_shards_and_order"),
        (
            Broken,
            "test_of_an_image_alone_the_answer_is_the_same_with_the_reason_in_words",
        ),
        (Silent, "test_of_an_image_alone_the_answer_is_the_same_with_the_reason_in_words"),
        (Losing, "test_each_sample_is_a_member_or_has_a_reason"),
        (Wordy, "test_each_sample_is_a_member_or_has_a_reason"),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(
    kind: type[Broken], test: str, tmp_path: Path
) -> None:
    given = [tmp_path / "good"] if test.startswith("test_members") else []
    getattr(broken(Wide), test)(*given)
    with pytest.raises(AssertionError):
        getattr(broken(kind), test)(*(tmp_path / "broken" for _ in given))
