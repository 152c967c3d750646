"""The rewriter that is trained here keeps the contract, and says what it cannot read."""

import pytest

from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.trained import EmbeddedRewriter
from recap_assets.engines.errors import ModelFileError
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.loading import ExperimentError
from recap_assets.testing.inputs import Nothing
from recap_assets.testing.rewriters import RewriterContract
from recap_assets.training.corpora.kind import TextRow
from recap_assets.training.models.kinds.rewriter import TrainedRewriter
from recap_assets.training.models.kinds.rewriter.engine import train_rewriter
from recap_assets_tests.tiny import EXPERIMENT, tiny_experiment

ROWS = [TextRow((f"sale {n}", "a red plane"), f"a red plane, sale {n}") for n in range(20)]
SPEC = TrainedRewriter(
    kind="rewriter", corpus="rows", samples_seen=64, batch_size=8, width=32, layers=1
)
DECODING = Decoding(max_tokens=8, min_tokens=2)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Nothing:
    folder = tmp_path_factory.mktemp("models")
    (folder / "rewriter").mkdir()
    train_rewriter(("raw", "a"), ROWS, SPEC).save(folder / "rewriter")
    return Nothing(folder)


class TestTrainedRewriter(RewriterContract):
    by = EmbeddedRewriter(kind="embedded", model="rewriter", decoding=DECODING, device="cpu")

    @pytest.fixture(autouse=True)
    def given(self, places: Nothing) -> None:
        self.places = places


def test_texts_that_it_did_not_learn_to_read_are_refused_when_it_is_opened(places: Nothing) -> None:
    by = EmbeddedRewriter(kind="embedded", model="rewriter", decoding=DECODING, device="cpu")
    with pytest.raises(ModelFileError, match="reads raw, a, and no 'title'"):
        by.open(places, RewriteTask(("raw", "title")))


def test_it_takes_no_prompt_and_a_model_of_its_kind() -> None:
    by = {"kind": "embedded", "model": "captioner"}
    fused = {"kind": "rewrite", "reads": ["raw", "a"], "by": by}
    sources = {**EXPERIMENT["sources"], "fused": fused}
    with pytest.raises(ExperimentError, match="'captioner' is of another kind"):
        tiny_experiment(sources=sources)
    with pytest.raises(ExperimentError, match="by kind embedded, which takes none"):
        tiny_experiment(sources={**sources, "fused": {**fused, "prompt": "{raw} {a}"}})
