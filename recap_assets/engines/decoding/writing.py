"""Captions written one token after the other, each row for itself: sampling and greedy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recap_assets.engines.decoding.guidance import Steps
from recap_assets.engines.decoding.model import S, spread
from recap_assets.engines.decoding.restraints import restrained
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.decoding.sampling import TokenSampler
from recap_assets.engines.row_counts import rounded

COMPACT_BELOW = 0.75
"""Finished rows are dropped when the rest, padded, is less than this share of what is computed:
each time copies the whole key-value cache."""


@dataclass(frozen=True)
class Written:
    """A caption as tokens.

    Attributes:
        tokens: Without the end mark.
        log_probability: Of the tokens and the end mark under the model, given the image.
    """

    tokens: list[int]
    log_probability: float


def write_rows(
    steps: Steps[S], features: Tensor, sampler: TokenSampler, plan: RowPlan
) -> list[Written]:
    """Write all captions of a batch of images.

    `captions` are those that are not finished, `at` the rows of the batch that hold them.

    Args:
        steps: The model.
        features: Of the images, padded to `plan.start` rows.
        sampler: Chooses the tokens of `sampler.n_rows` captions, image-major.
        plan: Rows to compute.

    Returns:
        One for each row of the sampler.
    """
    device, decoding = features.device, sampler.decoding
    logits, state = steps.start(features)
    batch = _Batch(sampler.n_rows, decoding.max_tokens, device)
    n = plan.steps
    at = spread(batch.captions // sampler.candidates, n)
    if not torch.equal(at, torch.arange(len(features), device=device)):
        state.select(at)
        logits = logits.rows(at)
    for position in range(decoding.max_tokens):
        rows = logits.rows(batch.at)
        written = batch.tokens[batch.captions, :position]
        scores = restrained(rows.deciding, written, decoding)
        ids, log_probs = sampler.choose(scores, position, batch.captions, own=rows.own)
        ids = batch.add(ids, log_probs, position, sampler.eos)
        if not len(ids) or position + 1 == decoding.max_tokens:
            break
        if (kept := fewer_rows(plan, len(ids), n)) < n:
            state.select(spread(batch.at, kept))
            batch.at, n = torch.arange(len(ids), device=device), kept
        tokens = torch.full((n,), int(ids[0]), device=device)
        tokens[batch.at] = ids
        logits = steps.step(tokens, state)
    return batch.written()


def fewer_rows(plan: RowPlan, wanted: int, now: int) -> int:
    """Rows to continue with, where `wanted` of the rows that there are now are not finished."""
    if rounded(wanted) > COMPACT_BELOW * now:
        return now
    kept = plan.fewer(wanted, now)
    return kept if kept <= COMPACT_BELOW * now else now


class _Batch:
    """Captions of a batch: what is written, and which are still open, in which rows."""

    def __init__(self, n_rows: int, limit: int, device: torch.device) -> None:
        self.tokens = torch.zeros((n_rows, limit), dtype=torch.int64, device=device)
        self.lengths = torch.zeros(n_rows, dtype=torch.int64, device=device)
        self.totals = torch.zeros(n_rows, dtype=torch.float64)
        self.captions = torch.arange(n_rows, device=device)
        self.at = self.captions

    def add(self, ids: Tensor, log_probs: Tensor, position: int, eos: list[int]) -> Tensor:
        """Put one token behind each open caption; the tokens of those that continue."""
        self.totals[self.captions.cpu()] += log_probs.cpu().double()
        alive = ~torch.isin(ids, torch.tensor(eos, device=ids.device))
        self.captions, self.at, ids = self.captions[alive], self.at[alive], ids[alive]
        self.tokens[self.captions, position] = ids
        self.lengths[self.captions] += 1
        return ids

    def written(self) -> list[Written]:
        """All captions, in order."""
        rows = zip(self.tokens.tolist(), self.lengths.tolist(), self.totals.tolist(), strict=True)
        return [Written(tokens[:n], total) for tokens, n, total in rows]
