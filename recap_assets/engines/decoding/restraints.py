"""What a caption may not say, or not so soon: the rules of transformers, over whole batches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recap_assets.specs.decoding import Decoding


def restrained(scores: Tensor, written: Tensor, decoding: Decoding) -> Tensor:
    """Scores after the repetition penalty and the n-gram rule, in this order.

    Args:
        scores: Logits or log-probabilities, float32 of shape (n, vocabulary). Not changed.
        written: The captions so far without their prompt, int64 of shape (n, length).
        decoding: What is asked for; at its defaults `scores` itself comes back.
    """
    if decoding.repetition_penalty != 1:
        scores = penalised_repetition(scores, written, decoding.repetition_penalty)
    if decoding.no_repeat_ngram:
        scores = without_repeated_ngrams(scores, written, decoding.no_repeat_ngram)
    return scores


def without_end(scores: Tensor, position: int, decoding: Decoding, eos: Sequence[int]) -> Tensor:
    """Forbid the end before `min_tokens`; `scores` itself comes back from there on."""
    if position >= decoding.min_tokens:
        return scores
    scores = scores.clone()
    scores[:, list(eos)] = -torch.inf
    return scores


def penalised_repetition(scores: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Divide the scores of tokens that are in `written`, or multiply them where negative."""
    found = scores.gather(1, written)
    return scores.scatter(1, written, torch.where(found < 0, found * penalty, found / penalty))


def without_repeated_ngrams(scores: Tensor, written: Tensor, n: int) -> Tensor:
    """Forbid each token that would end an n-gram which is in `written` already."""
    length = written.shape[1]
    if length < n:
        return scores
    windows = written.unfold(1, n, 1)
    latest = written[:, length - n + 1 :]
    repeats = (windows[..., :-1] == latest[:, None]).all(dim=2)
    row, at = torch.nonzero(repeats, as_tuple=True)
    scores = scores.clone()
    scores[row, windows[row, at, -1]] = -torch.inf
    return scores
