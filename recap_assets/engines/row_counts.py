"""How many rows a model computes at once, so that a row's bits depend on nothing beside it.

Libraries choose a kernel by the shape of what they compute, and kernels sum in different orders: on
one processor 8 rows have the bits of 64, on the next they have not, and on a third a row's bits
depend on its place, where threads meet. No list of processors would stay true, so nothing is
assumed: a number of rows is used once a probe in this process has shown that it gives the bits of
the unit, in every place. The unit itself is a number of rows that gives equal rows equal bits in
every place. Where there is none, rows are computed one at a time, each as the first of its kind.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator

import torch
from torch import Tensor

from recap_assets.engines.protocols import BATCH_MULTIPLE

UNITS = (16, 8)
"""Numbers of rows to try as the unit, in this order.

Sixteen first: the widest registers (AVX-512) hold sixteen numbers, and kernels there treat eight
rows as a remainder, with bits that larger batches do not have.
"""

Probe = Callable[[Tensor], Iterable[Tensor]]
"""Computes rows together, and gives parts of the result, each with as many rows.

It is given numbers below the largest of `UNITS`, int64: rows of one number are equal rows.
"""


class RowCounts:
    """The numbers of rows that give a row its own bits; what probes found is kept.

    A finding holds for one model and one shape of row. It holds for one number of threads and is
    made again for another.
    """

    def __init__(self) -> None:
        self._units: dict[int, int] = {}
        self._equal: dict[tuple[int, int], bool] = {}

    def unit(self, probe: Probe) -> int:
        """Rows whose bits are those that all others are compared with; 1 where a place matters."""
        threads = torch.get_num_threads()
        if threads not in self._units:
            places = (unit for unit in UNITS if _is_same_in_every_place(probe, unit))
            self._units[threads] = next(places, 1)
        return self._units[threads]

    def at_least(self, n: int, most: int, probe: Probe) -> int | None:
        """The fewest rows from `n` to `most`, rounded up, that give the unit's bits, if any do."""
        if self.unit(probe) == 1:
            return 1 if n == 1 else None
        counts = range(rounded(n), rounded(most) + 1, BATCH_MULTIPLE)
        return next((count for count in counts if self._is_equal(count, probe)), None)

    def at_most(self, n: int, probe: Probe) -> int:
        """The most rows up to `n` that give the unit's bits; at least the unit."""
        unit = self.unit(probe)
        if unit == 1:
            return 1
        counts = range(rounded(n), unit, -BATCH_MULTIPLE)
        return next((count for count in counts if self._is_equal(count, probe)), unit)

    def parts(self, n: int, most: int, probe: Probe) -> Iterator[tuple[slice, int]]:
        """Cut `n` rows into passes.

        Args:
            n: Rows.
            most: Of one pass; fewer than the unit count as the unit, which is computed anyway.
            probe: See there.

        Yields:
            Which rows, and how many to compute: the difference is to be filled with copies.
        """
        most = max(rounded(most), self.unit(probe))
        first = 0
        while first < n:
            rest = min(n - first, most)
            count = self.at_least(rest, most, probe) or self.at_most(rest, probe)
            yield slice(first, min(first + count, n)), count
            first += count

    def _is_equal(self, count: int, probe: Probe) -> bool:
        unit, key = self.unit(probe), (torch.get_num_threads(), count)
        if count == unit:
            return True
        if key not in self._equal:
            # Every row comes back in other places; beyond a unit, with other neighbours.
            numbers = torch.arange(count)
            numbers = (numbers + numbers // unit + 1) % unit
            self._equal[key] = _agree(probe(torch.arange(unit)), probe(numbers), numbers)
        return self._equal[key]


class EvenPasses:
    """Forward passes over many rows, whose results are the same bits in any batch and order.

    Args:
        device: On a GPU, whose kernels nobody here can list, every pass has `batch_size` rows.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._counts: dict[Hashable, RowCounts] = {}

    def run(
        self,
        forward: Callable[[Tensor], Tensor],
        rows: Tensor,
        batch_size: int,
        examples: Callable[[Tensor], Tensor],
    ) -> Iterator[Tensor]:
        """The results of all rows, pass by pass.

        Args:
            forward: Computes some rows; the result has as many. One of these objects is for one
                function: what is found out is kept by the shape and type of a row.
            rows: All of one shape.
            batch_size: Rows of one pass, to which the device's memory is fitted.
            examples: Given a row, as many different rows of its kind as the largest of `UNITS`.
        """
        for part, count in self._parts(forward, rows, batch_size, examples):
            yield forward(filled(rows[part], count))[: len(rows[part])]

    def at_once(self, batch_size: int) -> int:
        """Rows to bring together for a pass: those that would be computed anyway."""
        return max(batch_size, *UNITS) if self._device.type == "cpu" else rounded(batch_size)

    def _parts(
        self,
        forward: Callable[[Tensor], Tensor],
        rows: Tensor,
        batch_size: int,
        examples: Callable[[Tensor], Tensor],
    ) -> Iterable[tuple[slice, int]]:
        if self._device.type != "cpu" or not len(rows):
            full = rounded(batch_size)
            return [(slice(n, n + full), full) for n in range(0, len(rows), full)]
        counts = self._counts.setdefault((rows.shape[1:], rows.dtype), RowCounts())
        return counts.parts(
            len(rows), batch_size, lambda numbers: [forward(examples(rows[0])[numbers])]
        )


def filled(rows: Tensor, count: int) -> Tensor:
    """`rows` with copies of the last one, up to `count` of them."""
    missing = count - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing > 0 else rows


def example_pixels(row: Tensor) -> Tensor:
    """Different images of the shape and type of `row`: noise over the whole range of its values."""
    shape = (max(UNITS), *row.shape)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    low, high = (0, 255) if row.dtype == torch.uint8 else (-2, 2)
    return (low + (high - low) * noise).to(row.dtype)


def example_tokens(row: Tensor) -> Tensor:
    """Different texts of the length of `row`, of ids that its model has; the highest comes last."""
    shape, highest = (max(UNITS), *row.shape), max(1, int(row.max()))
    ids = torch.randint(1, highest + 1, shape, generator=torch.Generator().manual_seed(0))
    ids[..., -1] = highest
    return ids.to(row.dtype)


def rounded(n: int) -> int:
    """`n` up to a multiple of `BATCH_MULTIPLE`."""
    return -(-n // BATCH_MULTIPLE) * BATCH_MULTIPLE


def _is_same_in_every_place(probe: Probe, unit: int) -> bool:
    """Whether rows keep their bits when all move on by one, by some, and by all but one."""
    numbers = torch.arange(unit)
    reference = [part.clone() for part in probe(numbers)]
    moved = [numbers.roll(step) for step in (1, unit // 2 + 1)]
    return all(_agree(reference, probe(order), order) for order in moved)


def _agree(reference: Iterable[Tensor], parts: Iterable[Tensor], numbers: Tensor) -> bool:
    return all(
        _bits(one[numbers]) == _bits(other) for one, other in zip(reference, parts, strict=True)
    )


def _bits(values: Tensor) -> bytes:
    # Bytes and not numbers: NaN equals itself, and the two zeros differ.
    return values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
