"""What all prompts begin with: read once, and only where no bit of any prompt is another."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, MistralConfig

from recap_assets.engines.decoding import prefixes
from recap_assets.engines.decoding.prefixes import Read, SharedPrefix

CPU = torch.device("cpu")
BEFORE = list(range(100, 140))
"""Of all prompts: forty tokens, of which 32 can be left out."""


class Counting:
    """A model whose logits are the sums of all keys and values, in whole numbers.

    Attributes:
        read: Tokens of each reading.
        wrong: Added to what is read behind a cache, for kernels with another order of sums.
        layers: Class of the cache's layers; None for the ordinary one.
    """

    def __init__(self, wrong: float = 0.0) -> None:
        self.read: list[int] = []
        self.wrong = wrong
        self.fails = False
        self.config: Any = None

    def begins(self, inputs: Sequence[list[int]]) -> Tensor:
        return torch.tensor(inputs)

    def length(self, inputs: Sequence[list[int]]) -> int:
        return len(inputs[0])

    def read_on(self, inputs: Sequence[list[int]], n: int, cache: DynamicCache | None) -> Read:
        if n and self.fails:
            msg = "it knows no such thing"
            raise ValueError(msg)
        self.read.append(len(inputs[0]) - n)
        cache = DynamicCache(config=self.config) if cache is None else cache
        rows = torch.tensor(inputs)[:, n:].double()[:, None, :, None]
        keys, values = cache.update(rows, -rows, 0)
        wrong = self.wrong if n else 0.0
        logits = torch.cat([keys.sum((1, 2)) + wrong, values.sum((1, 2))], dim=1)
        return logits, cache, [torch.tensor([[float(len(inputs[0]))]])]


def prompt(*own: int) -> list[list[int]]:
    return [[*BEFORE, *own, 7, 7, 7]]


def same(one: Read, other: Read) -> bool:
    parts = zip(prefixes._parts(one), prefixes._parts(other), strict=True)
    return all(torch.equal(*pair) for pair in parts)


def test_what_all_begin_with_is_left_out_once_two_prompts_of_the_length_have_shown_it() -> None:
    reader, plain = Counting(), Counting()
    prefix = SharedPrefix(reader, CPU)
    prompts = [prompt(n, 2) for n in range(6)] + [prompt(n) for n in range(5)]
    for one in prompts:
        assert same(prefix.read(one), plain.read_on(one, 0, None))
    # The second prompt shows what is shared, the third and the fourth are read both ways.
    assert reader.read[:8] == [45, 45, 45, 13, 45, 13, 13, 13]
    assert reader.read[8:] == [44, 44, 12, 44, 12, 12, 12]


def test_rows_that_are_read_together_share_it_as_well() -> None:
    reader, plain = Counting(), Counting()
    prefix = SharedPrefix(reader, CPU)
    for n in range(6):
        rows = [*prompt(n, 1), *prompt(n, 2), *prompt(n, 3)]
        assert same(prefix.read(rows), plain.read_on(rows, 0, None))
    assert reader.read[-1] == 13


def test_a_prompt_that_begins_otherwise_shortens_it() -> None:
    reader, plain = Counting(), Counting()
    prefix = SharedPrefix(reader, CPU)
    prompts = [prompt(n, 1) for n in range(6)]
    prompts += [[[*BEFORE[:19], n, *BEFORE[:25]]] for n in range(5)]
    for one in [*prompts, prompt(9, 9), prompt(8, 8)]:
        assert same(prefix.read(one), plain.read_on(one, 0, None))
    assert reader.read[-1] == 45 - 16
    assert not prefix.is_given_up
    # One with hardly anything in common ends it, for good.
    for one in ([[*BEFORE[:3], *range(42)]], prompt(3, 3), prompt(4, 4)):
        assert same(prefix.read(one), plain.read_on(one, 0, None))
        assert reader.read[-1] == 45
    assert prefix.is_given_up


@pytest.mark.parametrize("reader", [Counting(wrong=1e-9), Counting()])
def test_where_a_bit_differs_or_the_model_cannot_prompts_are_read_as_wholes(
    reader: Counting,
) -> None:
    reader.fails = not reader.wrong
    prefix, plain = SharedPrefix(reader, CPU), Counting()
    lengths = range(1, prefixes.MOST_IN_VAIN + 2)
    for one in [prompt(*[n + m] * length) for length in lengths for n in range(2) for m in (1, 3)]:
        assert same(prefix.read(one), plain.read_on(one, 0, None))
    assert prefix.is_given_up
    before = len(reader.read)
    prefix.read(prompt(1, 2, 3))
    assert reader.read[before:] == [46]


def test_memory_that_runs_out_is_nobodys_answer() -> None:
    reader = Counting()
    prefix = SharedPrefix(reader, CPU)
    prefix.read(prompt(1, 2))
    prefix.read(prompt(3, 4))

    def full(*_: object) -> Read:
        raise torch.OutOfMemoryError

    whole = reader.read_on
    reader.read_on = lambda inputs, n, cache: (full if n else whole)(inputs, n, cache)  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        prefix.read(prompt(5, 6))


def test_another_number_of_threads_begins_again() -> None:
    reader = Counting()
    prefix = SharedPrefix(reader, CPU)
    n_threads = torch.get_num_threads()
    for n in range(5):
        prefix.read(prompt(n, 1))
    try:
        torch.set_num_threads(n_threads + 1)
        for n in range(5):
            prefix.read(prompt(n, 1))
    finally:
        torch.set_num_threads(n_threads)
    assert reader.read == [45, 45, 45, 13, 45, 13, 13] * 2


def test_short_prompts_other_caches_and_other_devices_share_nothing() -> None:
    short = Counting()
    prefix = SharedPrefix(short, CPU)
    for n in range(4):
        prefix.read([[1, 2, 3, n, 5]])
    assert (short.read, prefix.is_given_up) == ([5] * 4, True)

    sliding = Counting()
    sliding.config = MistralConfig(num_hidden_layers=1, sliding_window=4)
    prefix = SharedPrefix(sliding, CPU)
    for n in range(4):
        prefix.read(prompt(n, 1))
    assert (sliding.read, prefix.is_given_up) == ([45] * 4, True)
    assert SharedPrefix(Counting(), torch.device("cuda")).is_given_up
