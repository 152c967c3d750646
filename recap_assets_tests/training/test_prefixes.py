"""Source prefixes: what is trained on, what is evaluated, what trains again, what is refused."""

import numpy as np
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.training import TRAINING_PAIRS
from recap_assets.evaluation.prefixed import Prefixed
from recap_assets.graph.node import Step
from recap_assets.specs.loading import ExperimentError
from recap_assets.training.kinds.in_process import running
from recap_assets.training.prefixes import prefix_of
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

MIXES = {"both": [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}], "raw": [{"use": "raw"}]}
TRAINING = {**EXPERIMENT["training"], "prefix": "source"}
EVALUATION = {**EXPERIMENT["evaluation"], "prefix": "a"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    experiment = tiny_experiment(mixes=MIXES, report={}, training=TRAINING, evaluation=EVALUATION)
    bench = Bench(tmp_path_factory.mktemp("prefixes"), experiment)
    bench.build("world", "pool", "models", "captions", "scores", "mixes")
    return bench


def test_each_text_is_trained_on_with_the_name_of_its_source(bench, monkeypatch):
    seen = {}

    def train_clip(pairs, *_arguments, **_options):
        seen.update(zip(pairs.texts, pairs.sources, strict=True))
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train_clip", train_clip)
    with pytest.raises(KeyboardInterrupt):
        bench.graph.nodes["trained_clip/both"].compute(Step("0"))
    rows = bench.project.workspace.tables.read(CURATED_MIXES, mix="both")
    expected = {f"{s} : {t}": s for s, t in rows.select("source", "text").iter_rows()}
    assert seen == expected
    assert set(seen.values()) == {"raw", "a"}


def test_prompts_begin_with_the_source_asked_for_or_the_mixs_own():
    class Texts:
        def embed_images(self, images):
            return np.zeros((len(images), 1), np.float32)

        def embed_texts(self, texts):
            self.seen = list(texts)
            return np.zeros((len(texts), 1), np.float32)

    experiment = tiny_experiment(mixes=MIXES, report={}, training=TRAINING, evaluation=EVALUATION)
    model = Texts()
    for mix, prefix in (("both", "a"), ("raw", "raw")):
        source = prefix_of(experiment.mixes[mix], "a")
        Prefixed(model, source).embed_texts(["a photo of a dog"])
        assert model.seen == [f"{prefix} : a photo of a dog"]


def test_the_source_of_a_pair_decides_only_where_it_is_marked(tmp_path):
    plain = Bench(tmp_path, tiny_experiment(mixes=MIXES, report={})).graph.nodes
    experiment = tiny_experiment(mixes=MIXES, report={}, training=TRAINING, evaluation=EVALUATION)
    marked = Bench(tmp_path, experiment).graph.nodes
    key = TRAINING_PAIRS.key("both")
    assert plain[key].code_version != marked[key].code_version
    assert "source" in marked[key].decides
    for name in ("trained_clip/both", "evaluation_results/both"):
        assert plain[name].code_version != marked[name].code_version


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": TRAINING}, "evaluation.prefix: training.prefix is set; .*a, raw"),
        ({"evaluation": EVALUATION}, "no text that is trained on has one"),
        (
            {"training": TRAINING, "evaluation": {**EVALUATION, "prefix": "b"}},
            "evaluation.prefix: there is no 'b'",
        ),
        (
            {"training": {"launcher": "torchrun", "scale": "debug", "positives": "all"}},
            "positives: open_clip's trainer takes one text an image; use `launcher: in_process`",
        ),
        (
            {"training": {**TRAINING, "positives": "all", "loss": {"kind": "two_stage"}}},
            "two_stage",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_the_file_is_read(changes, words):
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(**changes)
