"""The reward scorer: learned preferences rank texts, in the embedded world and from a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.engines.small.preference import PreferenceHead, read_preference_head
from recap_assets.specs.loading import ExperimentError
from recap_assets.training.corpora.text_rows import CorpusFileError
from recap_assets.training.models.kinds.preference import PreferenceModel
from recap_assets.training.models.kinds.preference.engine import train_preference
from recap_assets.training.models.kinds.preference.reading import Compared, compared
from recap_assets.world.preferences import preferences_of
from recap_assets_tests.scores.conftest import REFEREE
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment


def test_a_score_is_the_heads_weighted_sum() -> None:
    rng = np.random.default_rng(0)
    product, text, images, texts = (rng.normal(size=s).astype("f4") for s in (4, 4, (9, 4), (9, 4)))
    found = PreferenceHead(product, text).score(images, texts)
    for i in range(9):
        expected = sum(
            product[d] * images[i, d] * texts[i, d] + text[d] * texts[i, d] for d in range(4)
        )
        assert found[i] == pytest.approx(float(expected), abs=1e-5)


def test_drawn_preferences_are_two_an_image_and_what_was_learned_scores_texts(own: Bench) -> None:
    project = own.project
    rows = project.workspace.tables.read(IMAGE_EMBEDDINGS, scorer="clip")
    known = dict(zip(rows["uid"], vectors_of(rows["embedding"]), strict=True))
    preferences = list(preferences_of(3, set(known)))
    assert len(preferences) == 2 * len(known) == 120
    assert read_preference_head(project.workspace.model("referee"), 32).product.shape == (32,)
    spec = PreferenceModel.model_validate({**REFEREE, "samples_seen": 40_000, "rate": 1.0})
    given = compared(project, spec)
    trained = train_preference(given, spec, lambda *_: None)
    assert trained.curve[-1].loss < trained.curve[0].loss
    better, worse = (trained.head.score(given.images, t) for t in (given.better, given.worse))
    assert (better > worse).mean() > 0.55, "it fits what it saw, of a scorer that saw little"


@pytest.mark.long(reason="trains a scorer that tells things apart")
def test_it_agrees_with_most_preferences_that_it_did_not_see(
    tmp_path: Path,
) -> None:
    scorer = {"kind": "clip", "corpus": "pairs", "samples_seen": 6_000, "batch_size": 64}
    pairs = {"kind": "embedded", "style": "scorer", "samples": 2_000, "captions_per_image": 1}
    experiment = tiny_experiment(
        pool={"kind": "embedded", "samples": 600, "samples_per_shard": 300},
        corpora={"pairs": pairs},
        models={"scorer": {**scorer, "tag_loss": 0.3}},
        sources={},
        mixes={"raw": [{"use": "raw"}]},
        report={},
    )
    bench = Bench(tmp_path, experiment)
    bench.build("world", "pool", "models", "scores")
    spec = PreferenceModel.model_validate({**REFEREE, "samples_seen": 20_000})
    every = compared(bench.project, spec)
    order = np.random.default_rng(0).permutation(len(every.images))
    seen, new = (
        Compared(every.images[at], every.better[at], every.worse[at], 0)
        for at in (order[:900], order[900:])
    )
    head = train_preference(seen, spec, lambda *_: None).head
    better, worse = (head.score(new.images, texts) for texts in (new.better, new.worse))
    assert (better > worse).mean() > 0.65, "chance is a half"


def test_preferences_of_a_file_are_joined_by_uid_and_the_others_counted(
    own: Bench, tmp_path: Path
) -> None:
    uids = own.project.workspace.tables.read(RAW_POOL)["uid"].to_list()[:5]
    rows = [{"uid": uid.hex(), "better": "a red car", "worse": "sale"} for uid in uids]
    rows += [
        {"uid": "0" * 32, "better": "a", "worse": "b"},
        {"uid": "no", "better": "a", "worse": "b"},
    ]
    path = tmp_path / "prefs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    spec = PreferenceModel.model_validate({**REFEREE, "preferences": str(path)})
    found = compared(own.project, spec)
    assert (len(found.images), found.n_elsewhere) == (5, 2)
    path.write_text(json.dumps({"uid": "x", "better": "a"}))
    with pytest.raises(CorpusFileError, match="no column 'worse'"):
        compared(own.project, spec)
    path.write_text(json.dumps(rows[-1]))
    with pytest.raises(ValueError, match=r"none of 1 in .* is of an image of the pool"):
        compared(own.project, spec)


def test_a_reward_needs_a_model_of_preferences() -> None:
    with pytest.raises(ExperimentError, match="'captioner' is of another kind"):
        tiny_experiment(
            scorers={**EXPERIMENT["scorers"], "r": {"kind": "reward", "model": "captioner"}}
        )
