import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_benchmark.datasets.builder import build_wds_dataset
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval

from recap_assets.evalsets.sets import ClassificationSet, load_set
from recap_assets.evaluation.zero_shot import class_embeddings, cosines, evaluate
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, labelled, write_set

DIM = 48


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class FakeEmbedder:
    """A fixed embedding for every image and every text, whatever the batch."""

    def __init__(self) -> None:
        self.n_images = 0

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.n_images += len(images)
        return _unit(np.stack([_drawn(image.tobytes()) for image in images]))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return _unit(np.stack([_drawn(text.encode()) for text in texts]))


def _drawn(content: bytes) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
    return np.random.default_rng(seed).standard_normal(DIM)


class ConstantEmbedder:
    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return _unit(np.ones((len(images), DIM)))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return _unit(np.ones((len(texts), DIM)))


class BenchmarkModel:
    """The fake embedder in the form that CLIP_benchmark calls."""

    def __init__(self, embedder: FakeEmbedder) -> None:
        self.embedder = embedder
        self.texts: list[str] = []

    def tokenizer(self, texts: Sequence[str]) -> torch.Tensor:
        start = len(self.texts)
        self.texts += texts
        return torch.arange(start, len(self.texts))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.embedder.embed_texts([self.texts[i] for i in tokens]))

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return images


class BenchmarkLoader:
    """CLIP_benchmark's own reader of a set, in batches of image embeddings."""

    def __init__(self, folder: Path, embedder: FakeEmbedder, size: int) -> None:
        def transform(image: object) -> np.ndarray:
            return embedder.embed_images([np.asarray(image.convert("RGB"))])[0]  # type: ignore[attr-defined]

        self.dataset = build_wds_dataset("wds", transform, data_dir=str(folder))
        self.samples = list(self.dataset)
        self.size = size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, object]]:
        for start in range(0, len(self.samples), self.size):
            images, targets = zip(*self.samples[start : start + self.size], strict=True)
            labels = torch.tensor(targets) if isinstance(targets[0], int) else targets
            yield torch.from_numpy(np.stack(images)), labels


def _theirs(folder: Path, embedder: FakeEmbedder) -> dict[str, float]:
    model, loader = BenchmarkModel(embedder), BenchmarkLoader(folder, embedder, 64)
    if loader.dataset.classes is None:
        return zeroshot_retrieval.evaluate(
            model, loader, model.tokenizer, "cpu", amp=False, recall_k_list=[1, 5, 10]
        )
    classes, templates = loader.dataset.classes, loader.dataset.templates
    return zeroshot_classification.evaluate(
        model, loader, model.tokenizer, classes, templates, "cpu", amp=False
    )


def _ours(folder: Path, size: int = 50) -> dict[str, float]:
    metrics = evaluate(FakeEmbedder(), load_set(str(folder), "test", decode), batch_size=size)
    return {metric.metric: metric.value for metric in metrics}


@pytest.mark.parametrize("name", ["cifar10", "caltech101"])
def test_classification_of_real_sets_agrees_with_clip_benchmark(shared_data: Path, name: str):
    folder = shared_data / "eval" / name

    ours, theirs = _ours(folder), _theirs(folder, FakeEmbedder())

    assert ours == pytest.approx(theirs, abs=1e-6)
    assert 0 < ours["acc1"] < ours["acc5"] < 1


@pytest.mark.parametrize("name", ["flickr8k_dev", "coco_mini"])
def test_retrieval_of_real_sets_agrees_with_clip_benchmark(shared_data: Path, name: str):
    folder = shared_data / "eval" / name

    ours, theirs = _ours(folder), _theirs(folder, FakeEmbedder())

    mean = 0.5 * (theirs["image_retrieval_recall@1"] + theirs["text_retrieval_recall@1"])
    assert ours == pytest.approx({**theirs, "mean_recall@1": mean}, abs=1e-6)
    assert ours["image_retrieval_recall@10"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_random_retrieval_agrees_with_clip_benchmark(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    members = [
        member
        for i in range(40)
        for member in captioned(
            f"s{i:02}",
            "\n".join(f"caption {i} {j} {seed}" for j in range(rng.integers(1, 6))),
            value=2 * i,
        )
    ]
    write_set(tmp_path, "retrieval", [members[:40], members[40:]])

    ours, theirs = _ours(tmp_path, size=7), _theirs(tmp_path, FakeEmbedder())

    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)


def _small(folder: Path, classes: str = "a\nb\n") -> Path:
    members = [m for i in range(6) for m in labelled(f"s{i}", str(i % 2), 40 * i)]
    return write_set(folder, "classification", [members], classes)


def test_a_constant_model_scores_zero_on_both_kinds(tmp_path: Path):
    captions = [m for i in range(30) for m in captioned(f"s{i}", f"one {i}\ntwo {i}", i)]
    retrieval = write_set(tmp_path / "r", "retrieval", [captions])
    classes = "\n".join("abcdefg")

    for folder in (_small(tmp_path / "c", classes), retrieval):
        loaded = load_set(str(folder), "test", decode)
        values = {m.metric: m.value for m in evaluate(ConstantEmbedder(), loaded, batch_size=7)}
        assert set(values.values()) == {0.0}


def test_the_batch_size_changes_no_result(tmp_path: Path):
    captions = [m for i in range(13) for m in captioned(f"s{i}", f"one {i}\ntwo {i % 3}", i)]
    folder = write_set(tmp_path, "retrieval", [captions])

    assert _ours(folder, size=1) == _ours(folder, size=5) == _ours(folder, size=100)


@pytest.mark.parametrize("kind", ["retrieval", "classification"])
def test_the_next_batch_is_decoded_while_one_is_embedded(tmp_path: Path, kind: str):
    members = labelled if kind == "classification" else captioned
    folder = write_set(tmp_path, kind, [[m for i in range(4) for m in members(f"s{i}", "1", i)]])
    decoded, all_are = [], threading.Event()

    def watched(content: bytes) -> np.ndarray:
        decoded.append(content)
        if len(decoded) == 4:
            all_are.set()
        return decode(content)

    class Waiting(FakeEmbedder):
        def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
            assert all_are.wait(60), "the second batch waits for the first one's embeddings"
            return super().embed_images(images)

    assert evaluate(Waiting(), load_set(str(folder), "test", watched), batch_size=2)


def test_every_image_is_embedded_once(tmp_path: Path):
    embedder = FakeEmbedder()

    evaluate(embedder, load_set(str(_small(tmp_path)), "test", decode), batch_size=4)

    assert embedder.n_images == 6


def test_a_metric_that_any_model_would_fill_is_left_out(tmp_path: Path):
    captions = [m for i in range(3) for m in captioned(f"s{i}", f"one {i}\ntwo {i}", i)]

    assert "acc5" not in _ours(_small(tmp_path / "c"))
    assert set(_ours(write_set(tmp_path / "r", "retrieval", [captions]))) == {
        "image_retrieval_recall@1", "text_retrieval_recall@1", "text_retrieval_recall@5",
        "mean_recall@1",
    }  # fmt: skip


def test_one_metric_is_the_main_one(tmp_path: Path):
    loaded = load_set(str(_small(tmp_path)), "test", decode)

    default = evaluate(FakeEmbedder(), loaded, batch_size=4)
    chosen = evaluate(FakeEmbedder(), loaded, batch_size=4, metric="mean_per_class_recall")

    assert [m.metric for m in default if m.is_main] == ["acc1"]
    assert [m.metric for m in chosen if m.is_main] == ["mean_per_class_recall"]
    assert {m.n_samples for m in default} == {6}


def test_a_metric_that_the_set_lacks_is_refused(tmp_path: Path):
    loaded = load_set(str(_small(tmp_path)), "test", decode)

    with pytest.raises(ValueError, match=r"no metric 'mean_recall@1'; this set gives acc1"):
        evaluate(FakeEmbedder(), loaded, batch_size=4, metric="mean_recall@1")


def test_a_class_is_the_normalised_mean_of_its_prompts():
    embedder = FakeEmbedder()
    expected = embedder.embed_texts(["a cat", "cat!"]).mean(axis=0)

    found = class_embeddings(embedder, ["dog", "cat"], ["a {c}", "{c}!"], batch_size=3)

    np.testing.assert_allclose(found[1], expected / np.linalg.norm(expected), atol=1e-6)


def test_equal_embeddings_get_equal_scores_wherever_they_stand():
    row = _unit(np.random.default_rng(0).standard_normal((1, 128)))
    query = _unit(np.random.default_rng(1).standard_normal((3, 128)))

    scores = cosines(query, np.repeat(row, 1013, axis=0))

    assert (scores == scores[:, :1]).all()


def test_braces_in_a_prompt_are_only_text(tmp_path: Path):
    folder = _small(tmp_path)
    (folder / "zeroshot_classification_templates.txt").write_text("{c} {c.__class__} {0}\n")
    loaded = load_set(str(folder), "test", decode)
    assert isinstance(loaded, ClassificationSet)
    expected = FakeEmbedder().embed_texts(["a {c.__class__} {0}"])

    found = class_embeddings(FakeEmbedder(), loaded.class_names, loaded.templates, 8)

    np.testing.assert_allclose(found[:1], expected, atol=1e-6)
