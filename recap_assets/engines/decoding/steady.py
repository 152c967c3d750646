"""Captions written on a device without waiting for it: `writing.py`, step by step the same.

Room for keys and values, tokens and log-probabilities stays in place; a step with its choice of
tokens is one recording (`replays.py`). The host looks at the device every few tokens only, to drop
captions that are finished.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from recap_assets.engines.decoding.device_sampling import DeviceSampler, stream_keys
from recap_assets.engines.decoding.guidance import PlainSteps, Steps
from recap_assets.engines.decoding.model import State, spread
from recap_assets.engines.decoding.one_query import Unmasked
from recap_assets.engines.decoding.replays import Record, Replays, recorder
from recap_assets.engines.decoding.rooms import Room
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.decoding.sampling import NOT_FINITE
from recap_assets.engines.decoding.writing import Written, fewer_rows
from recap_assets.specs.decoding import Decoding

_log = logging.getLogger(__name__)

LOOKED_AT = 4
"""The host waits for the device at each of this number of tokens."""


@dataclass
class _Board:
    """What is known of the captions in the rows, all with one place per row.

    Attributes:
        keys: Streams of noise, int64.
        caption: Which caption a row writes, int64; rows that pad have the number after the last.
        tokens: The latest, int64.
        is_open: Whether the caption has not ended, bool.
        is_cut: Whether more tokens tied than were looked at, bool.
        written: Tokens so far, int64 of shape (rows, longest).
        lengths: Tokens without the end mark, int64.
        totals: Log-probabilities so far, float64; not finite where a row has no finite logit.
    """

    keys: Tensor
    caption: Tensor
    tokens: Tensor
    is_open: Tensor
    is_cut: Tensor
    written: Tensor
    lengths: Tensor
    totals: Tensor

    @classmethod
    def blank(cls, rows: int, longest: int, device: torch.device) -> "_Board":
        """All zero."""
        words = (torch.zeros(rows, dtype=torch.int64, device=device) for _ in range(4))
        flags = (torch.zeros(rows, dtype=torch.bool, device=device) for _ in range(2))
        return cls(
            keys=next(words), caption=next(words), tokens=next(words), lengths=next(words),
            is_open=next(flags), is_cut=next(flags),
            written=torch.zeros((rows, longest), dtype=torch.int64, device=device),
            totals=torch.zeros(rows, dtype=torch.float64, device=device),
        )  # fmt: skip

    def begin(self, keys: Tensor, rows: int) -> None:
        """Begin a caption for each key, in the first places; the rest of `rows` pads."""
        n = len(keys)
        for one in self.tensors:
            one.zero_()
        self.keys[:n] = keys
        self.caption[:rows] = torch.arange(rows, device=self.caption.device).clamp(max=n)
        self.is_open[:n] = True

    @property
    def tensors(self) -> list[Tensor]:
        """All of it."""
        return [getattr(self, field.name) for field in fields(self)]

    def first(self, rows: int) -> "_Board":
        """Its first rows, in place."""
        return _Board(*(one[:rows] for one in self.tensors))

    def copy_rows(self, rows: Tensor) -> None:
        """Move `rows` to the first places."""
        for one in self.tensors:
            one[: len(rows)] = one.index_select(0, rows)

    def store(self, into: "_Board") -> None:
        """Put each row where its caption is."""
        for target, source in zip(into.tensors, self.tensors, strict=True):
            target.index_copy_(0, self.caption, source)


class Steady:
    """Writes the captions of one model, one batch after the other, in the same room.

    Args:
        device: Where.
        record: Records steps; by default CUDA graphs where there is CUDA.
    """

    def __init__(self, device: torch.device, record: Record | None = None) -> None:
        self._device = device
        self._replays = Replays(record or recorder(device))
        self._room: Room[Any] | None = None
        self._board: _Board | None = None
        self._sampler: DeviceSampler | None = None
        self._is_refused = False

    def suits(self, steps: Steps[Any], decoding: Decoding) -> bool:
        """Whether captions can be written so; the log says once where they cannot."""
        why = _why_not(steps, decoding)
        if why and not self._is_refused:
            _log.warning("captions are written token by token with the host waiting: %s", why)
        self._is_refused |= bool(why)
        return not self._is_refused

    def write(
        self,
        steps: Steps[Any],
        features: Tensor,
        uids: Sequence[bytes],
        candidates: int,
        decoding: Decoding,
        plan: RowPlan,
    ) -> list[Written] | None:
        """Write all captions of a batch of images.

        Args:
            steps: The model without guidance, as `suits` accepts it.
            features: Of the images, padded to `plan.start` rows.
            uids: One per image.
            candidates: Captions of each image.
            decoding: How tokens are chosen.
            plan: Rows to compute.

        Returns:
            One for each caption, image-major; None where it has to be done by `write_rows`: more
            tokens tie than are looked at, or the state does not fit into room.

        Raises:
            FloatingPointError: A row has no finite logit.
        """
        model = steps.model  # pyright: ignore[reportAttributeAccessIssue] - `suits` saw to it
        logits, state = steps.start(features)
        if not self._make_room(state, plan.steps, decoding):
            return None
        sampler = self._sampler_of(decoding, model.eos, model.vocabulary)
        writing = _Writing(self._room, self._board, self._replays, model, sampler)
        keys = stream_keys(decoding.seed, uids, candidates)
        at = spread(torch.arange(len(keys), device=self._device) // candidates, plan.steps)
        writing.begin(state, logits.own[at], at, keys.to(self._device))
        del state, logits
        return writing.to_the_end(plan, len(keys))

    def release(self) -> None:
        """Give up the room and what was recorded over it: memory ran out."""
        self._replays.forget()
        self._room = self._board = None

    def _sampler_of(self, decoding: Decoding, eos: Sequence[int], vocabulary: int) -> DeviceSampler:
        """That of the batch before, if it chooses alike: recordings read its tensors in place."""
        if self._sampler is None or not self._sampler.is_for(decoding, eos, vocabulary):
            self._replays.forget()
            self._sampler = DeviceSampler(decoding, eos, vocabulary, self._device)
        return self._sampler

    def _make_room(self, state: State, rows: int, decoding: Decoding) -> bool:
        """Have room for the state; whether it fits at all."""
        if not Room.fits(state):
            why = f"a {type(state).__name__} does not stay in place"
            _log.warning("captions are written token by token with the host waiting: %s", why)
            self._is_refused = True
            return False
        room, board = self._room, self._board
        longest = decoding.max_tokens
        if room is None or board is None or not room.has_room_for(state, rows, longest):
            if room is not None:
                rows = max(rows, room.rows)
            # The old room is given up before the new one is made.
            room = board = None
            self.release()
            self._room = Room(state, rows, longest)
            self._board = _Board.blank(rows, longest, self._device)
            if self._room.devices != {self._board.keys.device}:
                # A recording would leave out what other devices compute.
                self._replays = Replays(None)
        return True


def _why_not(steps: Steps[Any], decoding: Decoding) -> str:
    """Why captions cannot be written so; empty where they can."""
    if decoding.strategy == "beams":
        return "strategy beams chooses among the beams of an image"
    if not isinstance(steps, PlainSteps):
        return "guidance_scale takes two passes for a token"
    if decoding.repetition_penalty != 1 or decoding.no_repeat_ngram:
        return "repetition_penalty and no_repeat_ngram compare with all that is written"
    return ""


class _Writing:
    """One batch under way."""

    def __init__(
        self,
        room: Room[Any] | None,
        board: _Board | None,
        replays: Replays,
        model: Any,  # noqa: ANN401 - a `CaptionModel`
        sampler: DeviceSampler,
    ) -> None:
        assert room is not None and board is not None  # noqa: S101, PT018 - for the type checker
        self.room, self.board, self.replays = room, board, replays
        self.model, self.sampler = model, sampler
        # A prompt's model is its reader's.
        self.unmasked = Unmasked(getattr(getattr(model, "reader", model), "model", None))

    def begin(self, state: State, logits: Tensor, at: Tensor, keys: Tensor) -> None:
        """Take over the state, row by row as `at` says, and choose the first tokens."""
        self.room.put(state, at)
        self.board.begin(keys, len(at))
        self._take(logits, 0, self.board.first(len(at)))

    def to_the_end(self, plan: RowPlan, n: int) -> list[Written] | None:
        """Write on until all `n` captions are finished."""
        decoding, rows = self.sampler.decoding, plan.steps
        found = _Board.blank(n + 1, decoding.max_tokens, self.board.keys.device)
        for position in range(1, decoding.max_tokens):
            if position >= decoding.min_tokens and position % LOOKED_AT == 0:
                is_open = self.board.is_open[:rows].cpu()
                if not is_open.any():
                    break
                rows = self._fewer(plan, is_open, rows, position, found)
            key, board = (rows, *self.room.key(position)), self.board.first(rows)
            self.replays.run(key, self._step(rows, position), board.tensors)
        self.board.first(rows).store(found)
        return _written(found, n)

    def _fewer(
        self, plan: RowPlan, is_open: Tensor, rows: int, position: int, found: _Board
    ) -> int:
        """Drop finished captions where that saves enough; the number of rows from now on."""
        kept = fewer_rows(plan, int(is_open.sum()), rows)
        if kept == rows:
            return rows
        self.board.first(rows).store(found)
        places = spread(torch.nonzero(is_open)[:, 0], kept).to(self.board.keys.device)
        # Attention so far was to the tokens before the latest, which is fed next.
        self.room.keep(places, position - 1)
        self.board.copy_rows(places)
        n_open = int(is_open.sum())
        self.board.caption[n_open:kept] = len(found.keys) - 1
        self.board.is_open[n_open:kept] = False
        return kept

    def _step(self, rows: int, position: int) -> Any:  # noqa: ANN401 - work for `Replays.run`
        def work() -> None:
            # What a recording calls the host for, it calls for once: all else is on the device.
            state = self.room.state(rows, position - 1)
            board = self.board.first(rows)
            with self.unmasked:
                logits = self.model.step(board.tokens, state)
            self._take(logits, position, board)

        return work

    def _take(self, logits: Tensor, position: int, board: _Board) -> None:
        """Choose a token for each row and put it behind its caption."""
        ids, log_probs, is_cut = self.sampler.choose(logits, position, board.keys)
        board.totals += torch.where(board.is_open, log_probs.double(), 0)
        board.is_cut |= is_cut & board.is_open
        board.is_open &= ~self.sampler.is_end(ids)
        board.written[:, position] = ids
        board.lengths += board.is_open
        board.tokens.copy_(ids)


def _written(found: _Board, n: int) -> list[Written] | None:
    """The captions, off the device."""
    tokens, lengths, totals, is_cut = (
        one[:n].cpu() for one in (found.written, found.lengths, found.totals, found.is_cut)
    )
    if not torch.isfinite(totals).all():
        raise FloatingPointError(NOT_FINITE)
    if is_cut.any():
        return None
    rows = zip(tokens.tolist(), lengths.tolist(), totals.tolist(), strict=True)
    return [Written(row[:length], total) for row, length, total in rows]
