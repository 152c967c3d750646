from collections.abc import Mapping
from typing import Any

import pytest
import torch

from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.tiny import EXPERIMENT, TOWER, Bench, tiny_experiment

OWN: Mapping[str, Mapping[str, Any]] = {
    "combined": {
        "of": [{"scorer": "clip", "scale": "z"}, {"scorer": "clip", "scale": "rank"}],
        "over": "raw",
    },
    "neg_clip_loss": {"scorer": "clip", "temperature": 0.05, "batch_size": 7, "rounds": 3},
    "text_similarity": {"captions": "a", "scorer": "clip"},
    "reward": {"model": "referee"},
}
"""The scorers with assets of their own: their fields, in an experiment with the scorer `clip`."""

REFEREE: Mapping[str, Any] = {
    "kind": "preference", "scorer": "clip", "preferences": "embedded", "samples_seen": 2_000,
}  # fmt: skip

LEXICAL: Mapping[str, Any] = {
    "kind": "vocabulary", "corpus": "pairs", "tower": TOWER, "samples_seen": 48, "batch_size": 24,
    "top": 4,
}  # fmt: skip

OWN_OF_IMAGES: Mapping[str, Mapping[str, Any]] = {
    "norm_sim": {"scorer": "clip", "target": {"task": "coarse"}, "norm": 2},
}
"""The image scorers likewise."""


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """An experiment with a scorer of each of these kinds, named as the kind, built to the pool's
    captions and embeddings, with their scores."""
    scorers = {kind: {"kind": kind, **fields} for kind, fields in OWN.items()}
    captioner = {**EXPERIMENT["sources"]["a"], "candidates": 2}
    made = Bench(
        tmp_path_factory.mktemp("own"),
        tiny_experiment(
            scorers={
                "clip": EXPERIMENT["scorers"]["clip"],
                "over_words": {"kind": "vocabulary", "model": "lexical"},
                **scorers,
            },
            image_scorers={kind: {"kind": kind, **f} for kind, f in OWN_OF_IMAGES.items()},
            sources={"a": captioner},
            models={**EXPERIMENT["models"], "referee": REFEREE, "lexical": LEXICAL},
            mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
            report={},
        ),
    )
    made.build("world", "pool", "models", "captions", "scores")
    return made


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products on several threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)
