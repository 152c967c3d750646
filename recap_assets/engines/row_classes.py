"""Numbers of rows in which a GPU gives a row the same bits, found by trying and kept in a file.

A GPU's libraries choose kernels by the shape of what they compute, by rules that nobody here can
list: on one card 8 to 48 rows of a caption's step have other bits than 256, and 56 to 256 agree.
Rows are therefore padded to a number that was seen to agree with `REFERENCE` rows, and where a
batch has become smaller it continues in a smaller number that agrees. A caption is then the same in
any batch and for any batch size on that class of device.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recap_assets.engines.batch_sizes import free_memory, is_out_of_memory, kept_entries
from recap_assets.engines.protocols import BATCH_MULTIPLE
from recap_assets.engines.row_counts import UNITS, Probe, rounded
from recap_assets.storage.files import write_atomically

REFERENCE = 256
"""Rows whose bits count."""

_EXAMPLES = max(UNITS)
_Key = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Found:
    """What trying found.

    Attributes:
        reference: Rows that the others were compared with; 0 where a row's place decides its bits.
        most: Largest number that was tried.
        counts: Numbers that agree, ascending.
    """

    reference: int
    most: int
    counts: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether captions are the same for any batch size on this class of device."""
        return self.reference == REFERENCE


class RowClass:
    """The numbers of rows to compute one part of a model in.

    Args:
        key: What a finding is good for: model, precision, device and versions.
        file: Where findings are kept; None keeps none.
    """

    def __init__(self, key: _Key | None = None, file: Path | None = None) -> None:
        self._key, self._file = dict(key or {}), file
        self.found: Found | None = None

    def find(self, probe: Probe, most: int) -> Found:
        """What was found for up to `most` rows, or is found now.

        Raises:
            FloatingPointError: The probe's logits are not finite: it says nothing.
        """
        most = max(rounded(most), REFERENCE)
        if self.found is None:
            self.found = self._kept()
        if self.found is None or self.found.most < most:
            self.found = _tried(probe, most, self.found)
            self._keep(self.found)
        return self.found

    def _kept(self) -> Found | None:
        if self._file is None:
            return None
        entries = [entry for entry in kept_entries(self._file) if self._is_own(entry)]
        return _read(entries[-1]) if entries else None

    def _keep(self, found: Found) -> None:
        if self._file is None:
            return
        others = [entry for entry in kept_entries(self._file) if not self._is_own(entry)]
        own = {"reference": found.reference, "most": found.most, "counts": list(found.counts)}
        content = json.dumps([*others, {**self._key, "found": own}], indent=1)
        write_atomically(self._file, content.encode())

    def _is_own(self, entry: Mapping[str, object]) -> bool:
        return {name: value for name, value in entry.items() if name != "found"} == self._key


def at_least(counts: Iterable[int], n: int) -> int | None:
    """The fewest of the ascending `counts` that hold `n` rows."""
    return next((count for count in counts if count >= n), None)


def _read(entry: Mapping[str, object]) -> Found | None:
    found = entry.get("found")
    if not isinstance(found, dict):
        return None
    reference, most, counts = (found.get(name) for name in ("reference", "most", "counts"))
    if not isinstance(reference, int) or not isinstance(most, int) or not isinstance(counts, list):
        return None
    good = sorted(n for n in counts if type(n) is int and 0 < n <= most)
    return Found(reference, most, tuple(good))


def _tried(probe: Probe, most: int, before: Found | None) -> Found:
    """What trying finds; what was found for fewer rows against the same reference stays."""
    reference, parts = _reference(probe)
    if not parts:
        return Found(0, most, ())
    known = before if before is not None and before.reference == reference else None
    agreeing = {reference, *(known.counts if known else ())}
    for count in _candidates(most):
        if known and count <= known.most:
            continue
        same = count == reference or _agrees(probe, count, parts)
        if same is None:
            break  # larger ones do not fit either
        if same:
            agreeing.add(count)
    return Found(reference, most, tuple(sorted(agreeing)))


def _candidates(most: int) -> Iterator[int]:
    """Doubling from eight, and the largest."""
    count = BATCH_MULTIPLE
    while count < most:
        yield count
        count *= 2
    yield most


def _reference(probe: Probe) -> tuple[int, list[Tensor]]:
    """The reference, or as many rows as fit, with what the examples give; empty where none do."""
    count = REFERENCE
    while count >= BATCH_MULTIPLE:
        numbers = torch.arange(count) % _EXAMPLES
        try:
            parts = [part[:_EXAMPLES].clone() for part in _in_place(probe, numbers)]
        except _PlacesDifferError:
            return count, []
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            return count, parts
        free_memory()
        count //= 2
    return count, []


class _PlacesDifferError(Exception):
    """Equal rows have other bits in another place of the same pass."""


def _in_place(probe: Probe, numbers: Tensor) -> Iterator[Tensor]:
    """The parts of a pass whose equal rows are equal."""
    for part in probe(numbers):
        if not _equal(part[:_EXAMPLES], part, numbers):
            raise _PlacesDifferError
        yield part


def _agrees(probe: Probe, count: int, parts: list[Tensor]) -> bool | None:
    """Whether a number of rows gives the examples' bits in every place; None: it does not fit."""
    # Every row has other neighbours and another place than in the reference.
    numbers = (torch.arange(count) + 5) % _EXAMPLES
    try:
        made = probe(numbers)
        return all(_equal(*both, numbers) for both in zip(parts, made, strict=True))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    free_memory()
    return None


def _equal(examples: Tensor, part: Tensor, numbers: Tensor) -> bool:
    """Whether each row of `part` has the bits of its example; on the device, which holds them."""
    expected = examples[numbers.to(part.device) % len(examples)]
    return torch.equal(_words(expected), _words(part))


def _words(values: Tensor) -> Tensor:
    # Bytes and not numbers: NaN equals itself, and the two zeros differ.
    return values.detach().contiguous().view(torch.uint8)
