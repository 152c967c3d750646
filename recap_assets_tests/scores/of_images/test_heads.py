"""Heads over embeddings agree with torch's own layers, and refuse what is no head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.of_images.kinds.head import EmbeddingHead
from recap_assets.scores.of_images.kinds.head.engine import load_head


def spec(path: Path, **options: object) -> EmbeddingHead:
    values = {"kind": "embedding_head", "scorer": "l14", "weights": str(path), **options}
    return EmbeddingHead.model_validate(values)


class AestheticPredictor(nn.Module):
    """The layers of LAION's improved-aesthetic-predictor, dropouts and all; narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(24, 32), nn.Dropout(0.2), nn.Linear(32, 16), nn.Dropout(0.2),
            nn.Linear(16, 12), nn.Dropout(0.1), nn.Linear(12, 10), nn.Linear(10, 1),
        )  # fmt: skip

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layers(rows)


@pytest.fixture
def embeddings() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(9, 24)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_laions_aesthetic_predictor(tmp_path: Path, embeddings: np.ndarray) -> None:
    torch.manual_seed(0)
    model = AestheticPredictor().eval()
    save_file(model.state_dict(), tmp_path / "head.safetensors")
    scores = load_head(spec(tmp_path / "head.safetensors")).score(embeddings)
    expected = model(torch.from_numpy(embeddings)).detach().numpy()[:, 0]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_relu_sigmoid_and_more_than_nine_layers(tmp_path: Path, embeddings: np.ndarray) -> None:
    torch.manual_seed(1)
    layers = [nn.Linear(24, 24) for _ in range(11)] + [nn.Linear(24, 1)]
    tensors = {
        f"linear_{i}.{name}": value
        for i, layer in enumerate(layers)
        for name, value in layer.state_dict().items()
    }
    save_file(tensors, tmp_path / "head.safetensors")
    head = load_head(spec(tmp_path / "head.safetensors", activation="relu", output="sigmoid"))
    rows = torch.from_numpy(embeddings)
    for layer in layers[:-1]:
        rows = layer(rows).relu()
    expected = layers[-1](rows).sigmoid().detach().numpy()[:, 0]
    np.testing.assert_allclose(head.score(embeddings), expected, atol=1e-6)


def test_a_score_does_not_depend_on_its_neighbours(tmp_path: Path, embeddings: np.ndarray) -> None:
    save_file(AestheticPredictor().state_dict(), tmp_path / "head.safetensors")
    head = load_head(spec(tmp_path / "head.safetensors"))
    alone = np.concatenate([head.score(row[None]) for row in embeddings])
    assert alone.tobytes() == head.score(embeddings).tobytes()


def test_embeddings_of_another_width(tmp_path: Path, embeddings: np.ndarray) -> None:
    save_file(AestheticPredictor().state_dict(), tmp_path / "head.safetensors")
    head = load_head(spec(tmp_path / "head.safetensors"))
    with pytest.raises(ModelFileError, match="width 24, and the scorer l14 gives 23"):
        head.score(embeddings[:, :23])


def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    torch.save(AestheticPredictor().state_dict(), tmp_path / "head.pth")
    with pytest.raises(ModelFileError, match="pickled weights"):
        load_head(spec(tmp_path / "head.pth"))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"a.weight": torch.zeros(2, 3)},
        {"a.weight": torch.zeros(4, 3), "b.weight": torch.zeros(1, 5)},
        {"a.weight": torch.zeros(1, 3), "a.bias": torch.zeros(2)},
    ],
)
def test_what_is_no_head(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(ModelFileError, match="holds no head"):
        load_head(spec(tmp_path / "head.safetensors"))


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "head.safetensors").write_bytes(b"no head")
    with pytest.raises(ModelFileError, match="cannot load the head"):
        load_head(spec(tmp_path / "head.safetensors"))


def test_a_head_is_no_larger_than_heads_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(
        {"a.weight": torch.zeros(1, 30), "a.bias": torch.zeros(1)}, tmp_path / "h.safetensors"
    )
    monkeypatch.setattr("recap_assets.scores.of_images.kinds.head.engine.MAX_NUMBERS", 31)
    load_head(spec(tmp_path / "h.safetensors"))
    monkeypatch.setattr("recap_assets.scores.of_images.kinds.head.engine.MAX_NUMBERS", 30)
    with pytest.raises(ModelFileError, match="it holds 31 numbers, and a head has at most 30"):
        load_head(spec(tmp_path / "h.safetensors"))
