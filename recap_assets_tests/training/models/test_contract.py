"""The public contract of models, kept by every registered kind; one of another package's built."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Places
from recap_assets.engines.small.preference import read_preference_head
from recap_assets.graph.node import Step
from recap_assets.specs.kinds import kinds_of
from recap_assets.specs.loading import ExperimentError
from recap_assets.specs.models import ModelSpec
from recap_assets.testing.inputs import Nothing
from recap_assets.testing.models import ModelContract
from recap_assets.training.engine.curve import CurvePoint
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kind import ImageTextModel, OnProgress, TrainedModel
from recap_assets.training.models.kinds.captioner import TrainedCaptioner
from recap_assets.training.models.kinds.clip import TrainedClip
from recap_assets.training.models.kinds.preference import PreferenceModel
from recap_assets.training.models.kinds.preference.engine import train_preference
from recap_assets.training.models.kinds.preference.reading import Compared
from recap_assets.training.models.kinds.rewriter import TrainedRewriter
from recap_assets.training.models.kinds.vocabulary import TrainedVocabulary
from recap_assets_tests.registering import registered
from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.tiny import CLIP, EXPERIMENT, TOWER, Bench, tiny_experiment

HELD = {
    "clip": "TestClip",
    "captioner": "TestCaptioner",
    "rewriter": "TestRewriter",
    "preference": "TestPreference",
    "vocabulary": "TestVocabulary",
}
SMALL = TrainedClip.model_validate({**CLIP, "corpus": "pairs", "tower": TOWER})


def test_no_kind_is_left_out() -> None:
    assert HELD.keys() == kinds_of("models").keys()
    assert set(HELD.values()) <= globals().keys()


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)


class TestClip(ModelContract):
    model = SMALL


class TestCaptioner(ModelContract):
    model = TrainedCaptioner.model_validate(EXPERIMENT["models"]["captioner"])
    models: Mapping[str, ModelSpec] = {"backbone": SMALL}

    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        (tmp_path / "models" / "backbone").mkdir(parents=True)
        backbone = ModelContract()
        backbone.model = SMALL
        backbone.trained().save(tmp_path / "models" / "backbone")
        self.places = Nothing(tmp_path / "models")


class TestVocabulary(ModelContract):
    model = TrainedVocabulary.model_validate(
        {**CLIP, "kind": "vocabulary", "corpus": "pairs", "tower": TOWER}
    )


class TestRewriter(ModelContract):
    model = TrainedRewriter(
        kind="rewriter", corpus="rows", samples_seen=32, batch_size=8, width=32, layers=1
    )


class TestPreference:
    """It learns from the pool, so the contract of what learns from a corpus is kept here."""

    model = PreferenceModel(
        kind="preference", scorer="clip", preferences="p.jsonl", samples_seen=600, batch_size=32
    )

    def trained(self) -> TrainedModel:
        rng = np.random.default_rng(0)
        images, better, worse = rng.normal(size=(3, 90, 6)).astype("f4")
        better[:, 2] += 1.0
        return train_preference(Compared(images, better, worse, 3), self.model, lambda *_: None)

    test_the_same_pairs_give_the_same_model = ModelContract.test_the_same_pairs_give_the_same_model
    test_the_curve_says_what_was_seen = ModelContract.test_the_curve_says_what_was_seen
    test_what_decides_is_what_has_no_mark = ModelContract.test_what_decides_is_what_has_no_mark

    def test_what_is_preferred_weighs_more(self, tmp_path: Path) -> None:
        trained = self.trained()
        trained.save(tmp_path)
        head = read_preference_head(tmp_path, 6)
        assert head.text.argmax() == 2
        with pytest.raises(ModelFileError, match="no head on 7 numbers"):
            read_preference_head(tmp_path, 7)


@dataclass(frozen=True)
class Words:
    """What a corpus says, as a model."""

    texts: Sequence[str]
    number: int
    samples_seen: int

    @property
    def curve(self) -> Sequence[CurvePoint]:
        return [CurvePoint(1, self.samples_seen, 0.5, 1.0)]

    def save(self, directory: Path) -> None:
        text = json.dumps({"words": sorted(self.texts), "number": self.number})
        (directory / "words.json").write_text(text)


class WordsModel(ImageTextModel):
    """Remembers the words of a corpus."""

    kind: Literal["words"]

    def image_side(self, models: Mapping[str, ModelSpec]) -> int:  # noqa: ARG002
        return 8

    def train(self, pairs: TrainingPairs, places: Places, on_progress: OnProgress) -> TrainedModel:  # noqa: ARG002
        return Words(pairs.texts, 0, self.samples_seen)


class TestWords(ModelContract):
    model = WordsModel(kind="words", corpus="pairs", samples_seen=5)


class Counting(WordsModel):
    """Gives another model each time."""

    def train(self, pairs: TrainingPairs, places: Places, on_progress: OnProgress) -> TrainedModel:  # noqa: ARG002
        return Words(pairs.texts, next(NUMBERS), 1)


NUMBERS = count()


@pytest.mark.parametrize(
    "test", ["test_the_same_pairs_give_the_same_model", "test_the_curve_says_what_was_seen"]
)
def test_the_contract_fails_for_what_does_not_keep_it(test: str, tmp_path: Path) -> None:
    contract = ModelContract()
    contract.model = Counting(kind="words", corpus="pairs", samples_seen=5)
    given = [tmp_path] if test.startswith("test_the_same") else []
    with pytest.raises(AssertionError):
        getattr(contract, test)(*given)


def test_a_model_of_another_package_is_trained_and_named_where_another_kind_is_asked(
    tmp_path: Path,
) -> None:
    models = {**EXPERIMENT["models"], "words": {"kind": "words", "corpus": "pairs"}}
    models["words"] |= {"samples_seen": 9}
    point = "words = recap_assets_tests.training.models.test_contract:WordsModel"
    with registered(tmp_path / "site", "models", point):
        bench = Bench(tmp_path, tiny_experiment(models=models))
        bench.build("world")
        node = bench.graph.nodes["models/words"]
        assert "recap-others" in node.decides
        node.compute(Step(""))
        kept = json.loads((bench.project.workspace.model("words") / "words.json").read_text())
        assert len(kept["words"]) == 60
        scorers = {"clip": {"kind": "embedded", "model": "words"}}
        words = r"scorers\.clip\.model: 'words' is of another kind.*backbone, scorer"
        with pytest.raises(ExperimentError, match=words):
            tiny_experiment(models=models, scorers=scorers)
