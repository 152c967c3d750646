"""Fine-tuning of the small captioner by rewards: REINFORCE against the greedy caption."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.decoder import CaptionDecoder, SmallCaptionModel
from recap_assets.engines.small.tokenizer import BOS, EOS, PAD
from recap_assets.training.engine.draws import stream, words
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kinds.captioner.reward import Reward
from recap_assets.training.models.kinds.captioner.run import CaptionerRun
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

CLIP_S = 2.5
RETRIEVAL_TEMPERATURE = 0.05
"""Divides the cosines of self-retrieval: a lead of 0.05 makes an image e times as likely."""

EXAMINED = 256
"""Pairs whose captions are compared before and after."""

_SAMPLE, _OTHERS = 4, 5
_BLOCK = 1_024


class RewardedRun(CaptionerRun):
    """Rewards of sampled captions over those of greedy ones, and the corpus's likelihood.

    Args:
        pairs: The images, and texts for the likelihood.
        spec: With a reward.
        model: What learns.
        tokenizer: Its own.
        told: Shape (n_pairs, controls): the control tokens of each pair, numbered from 0.
        scorer: What rewards.
    """

    def __init__(
        self,
        pairs: TrainingPairs,
        spec: TrainedCaptionerSpec,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
        told: NDArray[np.int64],
        scorer: Scorer,
    ) -> None:
        super().__init__(pairs, spec, model, tokenizer, told)
        assert spec.reward is not None, "the engine asks for no other"  # noqa: S101
        self.reward, self.seed, self.tokenizer = spec.reward, spec.seed, tokenizer
        self.rewards = Rewards(pairs, spec.reward, scorer, spec.seed)
        self.first = _copy_of(model.decoder)
        self.before = self._examined()

    def step(self, step: int) -> float:
        """One update; the mean reward of the sampled captions, with its sign turned."""
        chosen = self.order.pairs_at(step * self.batch_size, self.batch_size)
        features = self.features_of(chosen, step)
        seed = stream(self.seed, step, _SAMPLE)
        sampled, greedy = self._written(chosen, features, seed), self._written(chosen, features)
        rows = self.pairs.image_index[chosen]
        rewards = self.rewards.of(rows, self._texts(sampled), step)
        baseline = self.rewards.of(rows, self._texts(greedy), step)
        advantage = torch.from_numpy(rewards - baseline).to(features.device)
        loss = self._policy_loss(chosen, features, sampled, advantage)
        if self.reward.likelihood:
            loss = loss + self.reward.likelihood * self.cross_entropy(chosen, features)
        loss.backward()
        self.optimizer.step(step)
        mean = -float(rewards.mean())
        self.curve.add(step, mean, self.optimizer.factor(step))
        return mean

    def _written(
        self, chosen: NDArray[np.int64], features: Tensor, seed: int | None = None
    ) -> Tensor:
        told = torch.from_numpy(self.told[chosen]).to(features.device)
        # Weights are those of training, and nothing here is dropped out.
        return written(self.decoder, features, told, self.reward.max_tokens, seed)

    def _texts(self, tokens: Tensor) -> list[str]:
        return [self.tokenizer.decode([t for t in row if t > EOS]) for row in tokens.tolist()]

    def _policy_loss(
        self, chosen: NDArray[np.int64], features: Tensor, tokens: Tensor, advantage: Tensor
    ) -> Tensor:
        told = torch.from_numpy(self.told[chosen]).to(features.device)
        log_probs, real = log_probabilities(self.decoder, features, told, tokens)
        return -(advantage[:, None] * log_probs * real).sum() / real.sum()

    def facts(self) -> Mapping[str, float]:
        """Reward, repetition and likelihood under the captioner that it began as, both times."""
        after = self._examined()
        return {
            **{f"{name}_before": value for name, value in self.before.items()},
            **{f"{name}_after": value for name, value in after.items()},
        }

    @torch.no_grad()
    def _examined(self) -> Mapping[str, float]:
        chosen = self.order.pairs_at(0, min(EXAMINED, self.order.images_per_epoch))
        rows = self.pairs.image_index[chosen]
        features = torch.from_numpy(self.features[rows]).to(
            self.decoder.position.device, torch.float32
        )
        tokens = self._written(chosen, features)
        texts = self._texts(tokens)
        told = torch.from_numpy(self.told[chosen]).to(features.device)
        log_probs, real = log_probabilities(self.first, features, told, tokens)
        return {
            "clip_score": round(float(self.rewards.clip_scores(rows, texts).mean()), 4),
            "repeated_bigrams": round(repeated_bigrams(texts), 4),
            "nats_a_token_at_first": round(-float((log_probs * real).sum() / real.sum()), 4),
        }


class Rewards:
    """Rewards of captions of the corpus's images.

    Args:
        pairs: The corpus.
        reward: What is rewarded.
        scorer: Embeds images and captions.
        seed: Of drawn distractors.
    """

    def __init__(self, pairs: TrainingPairs, reward: Reward, scorer: Scorer, seed: int) -> None:
        self.spec, self.scorer, self.seed = reward, scorer, seed
        self.images = scorer.embed_images(list(pairs.images))
        others = reward.self_retrieval
        self.similar: NDArray[np.int64] | None = None
        if others is not None and others.similar:
            self.similar = most_similar(self.images, others.distractors)

    def of(self, rows: NDArray[np.integer], texts: Sequence[str], step: int) -> NDArray[np.float32]:
        """The reward of a text for each image, shape (n,).

        Args:
            rows: Numbers of the images.
            texts: One an image.
            step: Of the run, for drawn distractors.
        """
        embedded = self.scorer.embed_texts(list(texts))
        total = np.zeros(len(rows), np.float32)
        if self.spec.clip_score:
            own = (embedded * self.images[rows]).sum(1)
            total += self.spec.clip_score * CLIP_S * np.maximum(own, 0)
        if self.spec.self_retrieval is not None:
            others = self._others(rows, step, self.spec.self_retrieval.distractors)
            total += self.spec.self_retrieval.weight * self._found(embedded, rows, others)
        return total

    def clip_scores(self, rows: NDArray[np.integer], texts: Sequence[str]) -> NDArray[np.float32]:
        """CLIP-S of a text for each image, shape (n,)."""
        own = (self.scorer.embed_texts(list(texts)) * self.images[rows]).sum(1)
        return CLIP_S * np.maximum(own, 0)

    def _others(self, rows: NDArray[np.integer], step: int, n: int) -> NDArray[np.int64]:
        if self.similar is not None:
            return self.similar[rows]
        n = min(n, len(self.images) - 1)
        at = np.arange(len(rows) * n).reshape(len(rows), n)
        drawn = words(stream(self.seed, step, _OTHERS), at) % np.uint64(
            max(1, len(self.images) - 1)
        )
        # Never the image itself: those from its number on move by one.
        other = drawn.astype(np.int64)
        return other + (other >= np.asarray(rows)[:, None])

    def _found(
        self, texts: NDArray[np.float32], rows: NDArray[np.integer], others: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Log-probability of each text's own image among the others."""
        own = (texts * self.images[rows]).sum(1, keepdims=True)
        rest = (texts[:, None] * self.images[others]).sum(2)
        scores = np.concatenate([own, rest], axis=1) / RETRIEVAL_TEMPERATURE
        highest = scores.max(1)
        total = highest + np.log(np.exp(scores - highest[:, None]).sum(1))
        return scores[:, 0] - total


def most_similar(images: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """For each image the numbers of the n most similar others, shape (images, n or fewer)."""
    n = min(n, len(images) - 1)
    found = np.empty((len(images), n), np.int64)
    for first in range(0, len(images), _BLOCK):
        part = images[first : first + _BLOCK] @ images.T
        part[np.arange(len(part)), first + np.arange(len(part))] = -np.inf
        found[first : first + len(part)] = np.argsort(-part, axis=1, kind="stable")[:, :n]
    return found


@torch.no_grad()
def written(
    decoder: CaptionDecoder, features: Tensor, told: Tensor, limit: int, seed: int | None
) -> Tensor:
    """Captions of images, (n, limit): their tokens with the end mark, then padding.

    Args:
        decoder: What writes.
        features: Image tokens, (n, cells, token_dim).
        told: Control tokens, (n, controls).
        limit: Tokens at most.
        seed: Of the samples; None for the likeliest token each time.
    """
    generator = None
    if seed is not None:
        generator = torch.Generator(features.device).manual_seed(seed >> 1)
    n, k = told.shape
    cache = decoder.start(features, 1, limit + k)
    begin = torch.full((n,), BOS, device=features.device)
    logits = decoder.step(begin, 0, cache)
    for position in range(k):
        logits = decoder.step(told[:, position], position + 1, cache)
    tokens = torch.full((n, limit), PAD, device=features.device)
    is_open = torch.ones(n, dtype=torch.bool, device=features.device)
    for position in range(limit):
        chosen = _chosen(logits, generator)
        tokens[:, position] = torch.where(is_open, chosen, PAD)
        is_open &= chosen != EOS
        if not is_open.any() or position + 1 == limit:
            break
        logits = decoder.step(chosen, position + 1 + k, cache)
    return tokens


def _chosen(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return logits.argmax(1)
    return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def log_probabilities(
    decoder: CaptionDecoder, features: Tensor, told: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Of each token of captions as `written` gives them, and which are tokens; (n, limit) both."""
    begin = torch.full((len(tokens), 1), BOS, device=tokens.device)
    before = torch.cat([begin, told, tokens[:, :-1]], dim=1)
    logits = decoder(features, before)[:, told.shape[1] :].clone()
    # As in writing, where neither mark is offered.
    logits[..., [PAD, BOS]] = -torch.inf
    real = tokens != PAD
    flat = functional.cross_entropy(
        logits.flatten(0, 1), tokens.flatten(), ignore_index=PAD, reduction="none"
    )
    return -flat.view(tokens.shape), real


def repeated_bigrams(texts: Sequence[str]) -> float:
    """Share of the captions' pairs of words that the same caption has had before."""
    n_all = n_new = 0
    for text in texts:
        said = text.split()
        pairs = list(pairwise(said))
        n_all, n_new = n_all + len(pairs), n_new + len(set(pairs))
    return 1 - n_new / n_all if n_all else 0.0


def _copy_of(decoder: CaptionDecoder) -> CaptionDecoder:
    cells, token_dim = decoder.memory_position.shape[0], decoder.memory_norm.normalized_shape[0]
    copy = CaptionDecoder(decoder.shape, token_dim, cells)
    copy.load_state_dict(decoder.state_dict())
    return copy.to(decoder.position.device).eval()
