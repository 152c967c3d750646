"""The results of a search's trainings, kept until the search is whole, so that a crash costs one.

One JSON object a line. The folder's name has the fingerprint of all that decides them; a line that
cannot be read costs its own training.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from recap_assets.search.halving import Candidate, Measure, Result
from recap_assets.storage.files import write_atomically
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json

MAX_BYTES = 1 << 26
"""Of all results: a hundred thousand trainings and more."""
MAX_LINE = 1 << 16
_DEPTH = 4


class Kept:
    """A measure that trains nothing twice."""

    def __init__(self, measure: Measure, path: Path) -> None:
        """Measure by `measure` what `path` has no result of, and keep it there."""
        self._measure, self._path = measure, path
        self._results = dict(_read(path))

    def __call__(self, candidate: Candidate, samples_seen: int, seed: int) -> Result:
        """As `Measure`."""
        # Proposals are known by their settings: a number says nothing of what was trained.
        what = candidate.written or candidate.name
        key = json.dumps([what, samples_seen, seed])
        if key not in self._results:
            self._results[key] = self._measure(candidate, samples_seen, seed)
            self._write()
        return self._results[key]

    def _write(self) -> None:
        lines = (json.dumps({"of": key, **vars(one)}) for key, one in self._results.items())
        write_atomically(self._path, "".join(f"{line}\n" for line in lines).encode())


def _read(path: Path) -> Iterator[tuple[str, Result]]:
    try:
        data = read_bounded(path, MAX_BYTES)
    except (FileNotFoundError, UntrustedError):
        return
    for line in data.splitlines():
        try:
            value = parse_json(line, MAX_LINE, _DEPTH)
        except UntrustedError:
            continue
        if isinstance(value, dict):
            yield from _result(cast("dict[str, Any]", value))


def _result(row: dict[str, Any]) -> Iterator[tuple[str, Result]]:
    of, value, n_pairs, reason = (row.get(name) for name in ("of", "value", "n_pairs", "reason"))
    if not isinstance(of, str) or not isinstance(n_pairs, int) or isinstance(n_pairs, bool):
        return
    if isinstance(value, float) and math.isfinite(value) and reason is None:
        yield of, Result(value, n_pairs)
    elif value is None and isinstance(reason, str):
        yield of, Result(None, n_pairs, reason)
