"""Sentence encoders of transformers: safetensors only, and no code of the repository's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from recap_assets.engines.devices import resolve_device
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.transformers_models import ADVICE, OPTIONS, read_staged
from recap_assets.engines.row_counts import EvenPasses, example_tokens
from recap_assets.specs.running import Precision

MOST_TOKENS = 512
"""What is beyond is cut off, or earlier where the model's positions end."""


class MeanPooling:
    """The mean of the last states of a text's tokens, of unit length.

    Texts of one number of tokens are computed together, so none is padded.

    Args:
        model: An encoder in eval mode, on `device`.
        tokenizer: Its own.
        device: Where the model is.
        batch_size: Texts of one forward pass.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of many classes of transformers
        tokenizer: Any,  # noqa: ANN401
        device: torch.device,
        batch_size: int,
    ) -> None:
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self._batch_size = batch_size
        self._passes = EvenPasses(device)
        self._most = min(MOST_TOKENS, int(model.config.max_position_embeddings))
        self.embedding_dim = int(model.config.hidden_size)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        found = np.zeros((len(texts), self.embedding_dim), np.float32)
        tokens = [self._tokens(text) for text in texts]
        lengths = np.array([len(row) for row in tokens], np.int64)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            ids = torch.tensor([tokens[row] for row in rows])
            passes = self._passes.run(self._pooled, ids, self._batch_size, example_tokens)
            found[rows] = torch.cat(list(passes)).numpy()
        return found

    def _tokens(self, text: str) -> list[int]:
        ids = self._tokenizer(text, truncation=True, max_length=self._most)["input_ids"]
        return ids or [self._tokenizer.pad_token_id or 0]

    def _pooled(self, ids: Tensor) -> Tensor:
        states = self._model(input_ids=ids.to(self._device))[0].float()
        return torch.nn.functional.normalize(states.mean(dim=1), dim=1).cpu()


def load_sentence_encoder(
    model: str,
    revision: str | None = None,
    *,
    precision: Precision = "float32",
    batch_size: int = 64,
    device: str = "auto",
) -> MeanPooling:
    """An encoder from the hub or a folder.

    Args:
        model: Hub id or local folder.
        revision: Commit of the hub repository; None for the newest.
        precision: Type of the weights.
        batch_size: Texts of one forward pass; changes no embedding.
        device: `auto` is a GPU where there is one.

    Raises:
        ModelFileError: It is missing, damaged, incomplete, or no encoder.
        DeviceError: This machine has no such device.
    """
    at = resolve_device(device)
    with explain_loading(model, ADVICE):
        folder = model_folder(model, revision)
        with staging(model) as staged:
            build = AutoModel.from_config
            read = AutoModel.from_pretrained
            # What pools for another task is not used.
            encoder = read_staged(folder, staged, build, read, precision, unused="pooler.")
            tokenizer = AutoTokenizer.from_pretrained(staged, **OPTIONS)
    if encoder.config.is_encoder_decoder or not hasattr(encoder.config, "max_position_embeddings"):
        msg = f"{model} (type {encoder.config.model_type}) is no encoder of texts alone"
        raise ModelFileError(msg)
    return MeanPooling(encoder, tokenizer, put(encoder, at), batch_size)
