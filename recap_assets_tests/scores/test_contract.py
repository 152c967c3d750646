"""The public contracts of scorers, kept by every registered kind and by one of somebody else."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from recap_assets.engines.protocols import Image, PairScorer, Places, Scorer
from recap_assets.scores.kind import ByEmbeddings, ByPairs, ByTexts
from recap_assets.scores.kinds.matching import ImageTextMatching
from recap_assets.scores.kinds.open_clip import OpenClipScorer
from recap_assets.scores.kinds.trained import EmbeddedScorer
from recap_assets.scores.kinds.vocabulary import VocabularyScorer
from recap_assets.scores.kinds.words import WordsScorer
from recap_assets.specs.kinds import kinds_of
from recap_assets.specs.models import SmallTower
from recap_assets.testing.models import some_pairs
from recap_assets.testing.scores import (
    EmbeddingContract,
    Nothing,
    OwnScoresContract,
    PairContract,
    TextContract,
)
from recap_assets.training.engine.small_trainee import SmallTrainee
from recap_assets.training.models.kinds.vocabulary import TrainedVocabulary
from recap_assets.training.models.kinds.vocabulary.engine import train_vocabulary
from recap_assets_tests.chat_server import chat_servers
from recap_assets_tests.scores.conftest import OWN
from recap_assets_tests.scores.matching import MatchingScorer
from recap_assets_tests.scores.test_judge import marked
from recap_assets_tests.scores.test_judge import spec as judge_spec
from recap_assets_tests.scores.test_matching import save_matching
from recap_assets_tests.scores.test_open_clip import clip_folder  # noqa: F401 - a fixture
from recap_assets_tests.tiny import TOWER, Bench

Given = tuple[ByEmbeddings, Nothing]


def trained(folder: Path) -> Given:
    torch.manual_seed(0)
    texts = ["a photo of a dog", "two cats on a red sofa"] * 20
    SmallTrainee(SmallTower.model_validate(TOWER), texts, (64, 64)).save(folder / "clip")
    return EmbeddedScorer(kind="embedded", model="clip", device="cpu"), Nothing(folder)


def from_open_clip(folder: Path) -> Given:
    return OpenClipScorer(kind="open_clip", model=f"local-dir:{folder}", device="cpu"), Nothing()


def over_words(folder: Path) -> Given:
    spec = {"kind": "vocabulary", "corpus": "pairs", "samples_seen": 8, "batch_size": 8, "top": 4}
    pairs = some_pairs(64, 8)
    learned = train_vocabulary(pairs, TrainedVocabulary.model_validate({**spec, "tower": TOWER}))
    learned.save(folder / "lexical")
    return VocabularyScorer(kind="vocabulary", model="lexical", device="cpu"), Nothing(folder)


KINDS: Mapping[str, Callable[[Path], Given]] = {
    "embedded": trained,
    "open_clip": from_open_clip,
    "vocabulary": over_words,
}


def test_no_kind_is_left_out() -> None:
    assert {*KINDS, *OWN, *TEXTS, *PAIRS, "openai"} == kinds_of("scores").keys()


@pytest.mark.parametrize("kind", OWN)
class TestOwn(OwnScoresContract):
    @pytest.fixture(autouse=True)
    def given(self, kind: str, own: Bench) -> None:
        self.project, self.name = own.project, kind


@pytest.mark.parametrize("kind", KINDS)
class TestOurs(EmbeddingContract):
    @pytest.fixture(autouse=True)
    def given(self, kind: str, clip_folder: Path, tmp_path: Path) -> None:  # noqa: F811
        self.scorer, self.places = KINDS[kind](clip_folder if kind == "open_clip" else tmp_path)


TEXTS: Mapping[str, ByTexts] = {
    "words": WordsScorer(kind="words", measure="repetition"),
}


@pytest.mark.parametrize("kind", TEXTS)
class TestOfTexts(TextContract):
    @pytest.fixture(autouse=True)
    def given(self, kind: str) -> None:
        self.scorer = TEXTS[kind]


PAIRS: Mapping[str, Callable[[Path], ByPairs]] = {
    "image_text_matching": lambda folder: ImageTextMatching(
        kind="image_text_matching", model=str(save_matching(folder)), device="cpu"
    ),
}


@pytest.mark.parametrize("kind", PAIRS)
class TestOfPairs(PairContract):
    @pytest.fixture(autouse=True)
    def given(self, kind: str, tmp_path: Path) -> None:
        self.scorer = PAIRS[kind](tmp_path)


class TestJudge(PairContract):
    """Of the kind `openai`, beside a server on loopback."""

    @pytest.fixture(autouse=True)
    def given(self) -> Iterator[None]:
        with chat_servers() as start:
            server = start(marked)
            self.scorer = judge_spec(server)
            yield


class TestMatching(PairContract):
    scorer = MatchingScorer(kind="matching", salt="b")


class Centred:
    """Takes the mean of its batch from each row."""

    embedding_dim = 4

    def embed_images(self, images: list[Image]) -> np.ndarray:
        rows = np.array([[image.mean(), *image.shape] for image in images]).reshape(-1, 4)
        return _unit(rows - rows.mean(axis=0) if len(rows) else rows)

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        return _unit(np.array([[len(text), 1, 2, 3] for text in texts]).reshape(-1, 4))


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype("f4")


class Long(Centred):
    """Gives embeddings that are of no unit length."""

    def embed_images(self, images: list[Image]) -> np.ndarray:
        return np.ones((len(images), 4), np.float32)


class CentredScorer(EmbeddedScorer):
    def open(self, places: Places) -> Scorer:  # noqa: ARG002
        return Centred()


class LongScorer(EmbeddedScorer):
    def open(self, places: Places) -> Scorer:  # noqa: ARG002
        return Long()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (CentredScorer, "test_an_embedding_depends_on_nothing_beside_it"),
        (LongScorer, "test_embeddings_are_of_unit_length_and_as_long_as_said"),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(kind: type[ByEmbeddings], test: str) -> None:
    contract = EmbeddingContract()
    contract.scorer = kind(kind="embedded", model="clip")  # type: ignore[call-arg]
    with pytest.raises(AssertionError):
        getattr(contract, test)()


class Ranking:
    """Scores a pair by its place among the others."""

    def score(self, images: list[Image], texts: list[str]) -> np.ndarray:  # noqa: ARG002
        return np.linspace(0, 1, len(images), dtype=np.float32)


class OutOfTen:
    """Scores as a chat model says it, from 0 to 10."""

    def score(self, images: list[Image], texts: list[str]) -> np.ndarray:  # noqa: ARG002
        return np.full(len(images), 7, np.float32)


class RankingScorer(MatchingScorer):
    def open(self, places: Places) -> PairScorer:  # noqa: ARG002
        return Ranking()


class OutOfTenScorer(MatchingScorer):
    def open(self, places: Places) -> PairScorer:  # noqa: ARG002
        return OutOfTen()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (RankingScorer, "test_a_score_depends_on_its_image_and_text_alone"),
        (OutOfTenScorer, "test_each_pair_has_a_score_in_range_or_none"),
    ],
)
def test_the_contract_of_pairs_fails_too(kind: type[ByPairs], test: str) -> None:
    contract = PairContract()
    contract.scorer = kind(kind="matching")  # type: ignore[call-arg]
    with pytest.raises(AssertionError):
        getattr(contract, test)()
