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
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.transformers_models import ADVICE, OPTIONS, read_staged
from recap_assets.engines.row_counts import EvenPasses, example_tokens
from recap_assets.scores.kinds.text_similarity.spec import SentenceEncoder

MOST_TOKENS = 512
"""What is beyond is cut off, or earlier where the model's positions end."""


class MeanPooling:
    """The mean of the last states of a text's tokens, of unit length.

    Texts of one number of tokens are computed together, so none is padded.

    Args:
        model: An encoder in eval mode, on `device`.
        tokenizer: Its own.
        spec: Batch size.
        device: Where the model is.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of many classes of transformers
        tokenizer: Any,  # noqa: ANN401
        spec: SentenceEncoder,
        device: torch.device,
    ) -> None:
        self._model, self._tokenizer, self._spec, self._device = model, tokenizer, spec, device
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
            passes = self._passes.run(self._pooled, ids, self._spec.batch_size, example_tokens)
            found[rows] = torch.cat(list(passes)).numpy()
        return found

    def _tokens(self, text: str) -> list[int]:
        ids = self._tokenizer(text, truncation=True, max_length=self._most)["input_ids"]
        return ids or [self._tokenizer.pad_token_id or 0]

    def _pooled(self, ids: Tensor) -> Tensor:
        states = self._model(input_ids=ids.to(self._device))[0].float()
        return torch.nn.functional.normalize(states.mean(dim=1), dim=1).cpu()


def load_sentence_encoder(spec: SentenceEncoder) -> MeanPooling:
    """An encoder from the hub or a folder.

    Raises:
        ModelFileError: It is missing, damaged, incomplete, or no encoder.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(spec.device)
    with explain_loading(spec.model, ADVICE):
        folder = model_folder(spec.model, spec.revision)
        with staging(spec.model) as staged:
            build = AutoModel.from_config
            read = AutoModel.from_pretrained
            # What pools for another task is not used.
            model = read_staged(folder, staged, build, read, spec.precision, unused="pooler.")
            tokenizer = AutoTokenizer.from_pretrained(staged, **OPTIONS)
    if model.config.is_encoder_decoder or not hasattr(model.config, "max_position_embeddings"):
        msg = f"{spec.model} (type {model.config.model_type}) is no encoder of texts alone"
        raise ModelFileError(msg)
    return MeanPooling(model.to(device), tokenizer, spec, device)
