"""Beam search and diverse beam search, as transformers does them, over batches of images.

Beam search is that of transformers 5 with `early_stopping=False`: a beam ends with its end mark
or at the longest length, ended ones compare by log-probability / tokens ^ length_penalty (the end
mark counted), and an image is done once its best open beam, divided so at its present length,
cannot beat the worst of as many ended ones as there are beams.

Diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424) runs one such search for each group.
At each position the groups choose in turn, and a token loses `diversity_penalty` nats for each
beam of an earlier group that has just chosen it. As in transformers the loss stays in the beam's
score. A group that is done counts no more: transformers counts a padding token for it, which no
caption has.

Nothing of an image's search depends on another image. Equal scores go to the earlier beam, then to
the lower token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recap_assets.engines.decoding.guidance import Logits, Steps
from recap_assets.engines.decoding.model import S, State, reorder, spread
from recap_assets.engines.decoding.restraints import restrained, without_end
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.decoding.sampling import NOT_FINITE
from recap_assets.engines.decoding.writing import Written, fewer_rows
from recap_assets.specs.decoding import Decoding

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def search_beams(
    steps: Steps[S],
    features: Tensor,
    n_images: int,
    decoding: Decoding,
    eos: Sequence[int],
    plan: RowPlan,
) -> list[list[Written]]:
    """Search the captions of a batch of images.

    Args:
        steps: The model.
        features: Of the images, padded to `plan.start` rows.
        n_images: How many of them are images.
        decoding: Beams, groups, penalties and bounds.
        eos: Tokens that end a caption.
        plan: Rows to compute.

    Returns:
        For each image its beams, best first. Groups may have found the same caption; where the
        vocabulary allows fewer captions than there are beams, there are fewer.

    Raises:
        FloatingPointError: A row has no finite logit, as half precision may give.
    """
    logits, state = steps.start(features)
    rows = _Rows(n_images, decoding.beams, plan, features.device)
    at = spread(rows.beams() // decoding.beams, rows.n)
    state.select(at)
    logits = logits.rows(at)
    search = _Search(n_images, decoding, eos)
    for position in range(decoding.max_tokens):
        log_probs = logits.rows(rows.beams()).log_softmax()
        going, parents, tokens = search.advance(log_probs, position)
        if not going.any() or position + 1 == decoding.max_tokens:
            break
        rows.follow(state, parents[going], going)
        logits = steps.step(rows.fill(tokens[going]), state)
    return search.found()


class _Rows:
    """Which rows of the model's batch hold the beams of the images that are still searched."""

    def __init__(self, n_images: int, n_beams: int, plan: RowPlan, device: torch.device) -> None:
        self.slots = np.arange(n_images)
        self.n_beams = n_beams
        self.device = device
        self.plan = plan
        self.n = plan.steps

    def beams(self) -> Tensor:
        """Rows of all beams, image-major."""
        return self._to_device(self._blocks() + np.arange(self.n_beams))

    def follow(self, state: State, parents: Ints, going: Bools) -> None:
        """Bring the state of each beam's parent to its row, and drop images once it pays.

        Args:
            state: The model's.
            parents: Shape (images that continue, beams): which beam of its image each one extends.
            going: Shape (images,): which images continue.
        """
        self.slots = self.slots[going]
        sources = self._blocks() + parents
        if (kept := fewer_rows(self.plan, sources.size, self.n)) < self.n:
            self.n, self.slots = kept, np.arange(len(sources))
            state.select(spread(self._to_device(sources), kept))
            return
        everywhere = np.arange(self.n)
        everywhere[(self._blocks() + np.arange(self.n_beams)).ravel()] = sources.ravel()
        if (everywhere != np.arange(self.n)).any():
            reorder(state, self._to_device(everywhere))

    def fill(self, tokens: Ints) -> Tensor:
        """The tokens of the beams in their rows, any token in the others."""
        filled = torch.full((self.n,), int(tokens[0, 0]), device=self.device)
        filled[self.beams()] = self._to_device(tokens)
        return filled

    def _blocks(self) -> Ints:
        return self.slots[:, None] * self.n_beams

    def _to_device(self, rows: Ints) -> Tensor:
        return torch.from_numpy(rows.ravel()).to(self.device)


class _Search:
    """The beams of a batch of images, in groups."""

    def __init__(self, n_images: int, decoding: Decoding, eos: Sequence[int]) -> None:
        self.images = np.arange(n_images)
        self.n_images = n_images
        self.penalty = decoding.diversity_penalty
        self.groups = [_Group(n_images, decoding, eos) for _ in range(decoding.beam_groups)]

    def advance(self, log_probs: Logits, position: int) -> tuple[Bools, Ints, Ints]:
        """Extend the beams of the images that continue by one token.

        Args:
            log_probs: Shape (images * beams, vocabulary), image-major, then by group.
            position: Tokens written so far.

        Returns:
            Which of the images continue, and for each the beams that its beams extend and their
            tokens, both of shape (images, beams).
        """
        shape = len(self.images), len(self.groups), self.groups[0].size, -1
        by_group = Logits(*(part.view(shape) for part in log_probs))
        chosen: Tensor | None = None
        parents, tokens = [], []
        for number, group in enumerate(self.groups):
            part = Logits(by_group.deciding[:, number], by_group.own[:, number])
            if chosen is not None:
                part = part._replace(deciding=part.deciding - self.penalty * chosen[:, None])
            group_parents, group_tokens = group.advance(part, self.images, position)
            parents.append(group_parents + number * group.size)
            tokens.append(group_tokens)
            if len(self.groups) > 1:
                counts = _counts(group_tokens, group.open[self.images], part.deciding)
                chosen = counts if chosen is None else chosen + counts
        going = np.any([group.open[self.images] for group in self.groups], axis=0)
        self.images = self.images[going]
        return going, np.concatenate(parents, axis=1), np.concatenate(tokens, axis=1)

    def found(self) -> list[list[Written]]:
        """The ended beams of each image, best first."""
        return [self._found(image) for image in range(self.n_images)]

    def _found(self, image: int) -> list[Written]:
        scores = np.concatenate([group.ended.scores[image] for group in self.groups])
        beams = [beam for group in self.groups for beam in group.ended.written(image)]
        order = np.argsort(-scores, kind="stable")
        return [beams[n] for n in order if np.isfinite(scores[n])]


def _counts(tokens: Ints, counted: Bools, like: Tensor) -> Tensor:
    """How many beams chose each token, (images, vocabulary); `tokens` has shape (images, n)."""
    counts = torch.zeros(len(tokens), like.shape[-1], device=like.device)
    weights = np.repeat(counted[:, None], tokens.shape[1], axis=1).astype(np.float32)
    index = torch.from_numpy(tokens).to(like.device)
    return counts.scatter_add_(1, index, torch.from_numpy(weights).to(like.device))


@dataclass
class _Beams:
    """Beams of a group, best first.

    Attributes:
        tokens: Shape (images, beams, longest caption).
        lengths: Shape (images, beams), without end marks.
        scores: Shape (images, beams): what they compare by; -inf where there is no beam.
        own: Shape (images, beams): log-probability under the model, given the image.
    """

    tokens: Ints
    lengths: Ints
    scores: Floats
    own: Floats

    @classmethod
    def none(cls, n_images: int, n_beams: int, limit: int) -> "_Beams":
        """No beams."""
        shape = n_images, n_beams
        return cls(
            np.zeros((*shape, limit), np.int64),
            np.zeros(shape, np.int64),
            np.full(shape, -np.inf),
            np.zeros(shape),
        )

    def at(self, images: Ints, beams: Ints) -> "_Beams":
        """Those of shape (images, n) that `beams` names, copied."""
        at = images[:, None], beams
        return _Beams(self.tokens[at], self.lengths[at], self.scores[at], self.own[at])

    def put(self, images: Ints, beams: "_Beams") -> None:
        """Put `beams` in the place of those of the images."""
        self.tokens[images], self.lengths[images] = beams.tokens, beams.lengths
        self.scores[images], self.own[images] = beams.scores, beams.own

    def written(self, image: int) -> list[Written]:
        """The captions of an image."""
        rows = zip(self.tokens[image], self.lengths[image], self.own[image], strict=True)
        return [Written(tokens[:n].tolist(), float(own)) for tokens, n, own in rows]


@dataclass(frozen=True)
class _Offers:
    """Extensions of the beams of a group by one token, best first; shape (images, n) each."""

    parents: Ints
    tokens: Ints
    scores: Floats
    own: Floats
    ends: Bools

    def take(self, columns: Ints) -> "_Offers":
        """Some of each image, which `columns` of shape (images, m) names."""
        return _Offers(
            np.take_along_axis(self.parents, columns, axis=1),
            np.take_along_axis(self.tokens, columns, axis=1),
            np.take_along_axis(self.scores, columns, axis=1),
            np.take_along_axis(self.own, columns, axis=1),
            np.take_along_axis(self.ends, columns, axis=1),
        )


def _best_tokens(scores: Tensor, own: Tensor, k: int) -> tuple[Floats, Floats, Ints]:
    """The k best of each row: their scores, their own log-probabilities and their ids.

    The order of equal ones is by id and not the library's to choose.
    """
    best, ids = scores.topk(k, dim=1)
    owns = own.gather(1, ids).cpu().numpy().astype(np.float64)
    values, tokens = best.cpu().numpy().astype(np.float64), ids.cpu().numpy()
    order = np.lexsort((tokens, -values), axis=-1)
    return (
        np.take_along_axis(values, order, axis=1),
        np.take_along_axis(owns, order, axis=1),
        np.take_along_axis(tokens, order, axis=1),
    )


class _Group:
    """A beam search of its own: open beams, ended ones, and which images are not done."""

    def __init__(self, n_images: int, decoding: Decoding, eos: Sequence[int]) -> None:
        self.decoding = decoding
        self.eos = list(eos)
        self.size = decoding.beams // decoding.beam_groups
        # Enough that the number of beams do not end, whatever ends.
        self.n_offers = max(2, 1 + len(eos)) * self.size
        self.open = np.ones(n_images, bool)
        self.running = _Beams.none(n_images, self.size, decoding.max_tokens)
        self.running.scores[:, 0] = 0
        self.ended = _Beams.none(n_images, self.size, decoding.max_tokens)

    def advance(self, log_probs: Logits, images: Ints, position: int) -> tuple[Ints, Ints]:
        """Extend the beams of `images`; `log_probs` has shape (images, beams, vocabulary).

        Returns:
            Parents and tokens of the beams that continue, both of shape (images, beams).
        """
        offers = self._offers(log_probs, images, position)
        self._end(offers, images, position)
        following = offers.take(np.argsort(offers.ends, axis=1, kind="stable")[:, : self.size])
        running = self._extended(following, images, position)
        running.scores[following.ends] = -np.inf
        self.running.put(images, running)
        self._close(images, position)
        return following.parents, following.tokens

    def _offers(self, log_probs: Logits, images: Ints, position: int) -> _Offers:
        scores = log_probs.deciding.flatten(0, 1)
        written = torch.from_numpy(self.running.tokens[images, :, :position])
        scores = restrained(scores, written.flatten(0, 1).to(scores.device), self.decoding)
        scores = without_end(scores, position, self.decoding, self.eos)
        own = log_probs.own.flatten(0, 1)
        values, owns, ids = _best_tokens(scores, own, min(self.n_offers, scores.shape[1]))
        shape = len(images), self.size, -1
        totals = values.reshape(shape) + self.running.scores[images][..., None]
        if np.isnan(totals).any():
            raise FloatingPointError(NOT_FINITE)
        owns = owns.reshape(shape) + self.running.own[images][..., None]
        parents = np.broadcast_to(np.arange(self.size)[:, None], totals.shape)
        ends = np.isin(ids, self.eos) | (position + 1 == self.decoding.max_tokens)
        flat = len(images), -1
        offers = _Offers(
            parents.reshape(flat),
            ids.reshape(flat),
            totals.reshape(flat),
            owns.reshape(flat),
            ends.reshape(flat),
        )
        return offers.take(np.argsort(-offers.scores, axis=1, kind="stable")[:, : self.n_offers])

    def _extended(self, offers: _Offers, images: Ints, position: int) -> _Beams:
        beams = self.running.at(images, offers.parents)
        beams.tokens[:, :, position] = offers.tokens
        beams.lengths[:] = position + ~np.isin(offers.tokens, self.eos)
        beams.scores, beams.own = offers.scores.copy(), offers.own
        return beams

    def _end(self, offers: _Offers, images: Ints, position: int) -> None:
        """Put what ended among the best offers to the ended beams, of which the best stay."""
        offers = offers.take(np.tile(np.arange(self.size), (len(images), 1)))
        counts = offers.ends & self.open[images][:, None] & np.isfinite(offers.scores)
        if not counts.any():
            return
        new = self._extended(offers, images, position)
        new.scores = np.where(counts, self._by_length(new.scores, position), -np.inf)
        old = self.ended.at(images, np.tile(np.arange(self.size), (len(images), 1)))
        both = _Beams(
            *(
                np.concatenate([getattr(old, name), getattr(new, name)], axis=1)
                for name in ("tokens", "lengths", "scores", "own")
            )
        )
        best = np.argsort(-both.scores, axis=1, kind="stable")[:, : self.size]
        self.ended.put(images, both.at(np.arange(len(images)), best))

    def _close(self, images: Ints, position: int) -> None:
        """Be done with the images whose open beams cannot get better than the ended ones."""
        best = self._by_length(self.running.scores[images].max(axis=1), position)
        worst = self.ended.scores[images].min(axis=1)
        self.open[images] &= np.isfinite(best) & ((best > worst) | np.isneginf(worst))

    def _by_length(self, scores: Floats, position: int) -> Floats:
        return scores / (position + 1) ** self.decoding.length_penalty
