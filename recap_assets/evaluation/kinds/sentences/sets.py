"""Pairs of sentences with people's scores, and how a text tower is measured by them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.measuring import (
    CHANCE,
    Measured,
    MeasuringSet,
    SetAside,
    usable_text,
)
from recap_assets.evalsets.webdatasets import EvaluationSetError, SetFolder, at
from recap_assets.evaluation.zero_shot import embedded_texts
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import gunzip_bounded
from recap_assets.untrusted.json_text import parse_json

MAX_FILE_BYTES = 256 * 2**20
MAX_LINE_BYTES = 2**20
IN_A_FOLDER = "pairs.jsonl"
STSB_COLUMNS = (5, 6, 4)
"""Places of both sentences and the score in the STS benchmark's own files."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two sentences, and how similar people find them."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class PairSet(MeasuringSet):
    """Pairs of sentences of one file.

    Attributes:
        path: The file, as it was given.
    """

    path: str
    _fields: tuple[str, str, str]
    has_images: ClassVar[bool] = False

    def images(self, size: int) -> Iterator[list[Image]]:  # noqa: ARG002 - of all sets
        """There is none."""
        yield from ()

    def expected(self) -> Iterator[object]:
        """Both sentences and the score of each pair."""
        for one in self._pairs(SetAside()):
            yield one.first, one.second, one.score

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `SentencesTask`.

        Raises:
            EvaluationSetError: Also where all pairs have one score.
        """
        aside = SetAside()
        pairs = list(self._pairs(aside))
        aside.refuse_if_nothing_is_left(self.path, len(pairs), "pair")
        scores = np.array([one.score for one in pairs])
        if len(np.unique(scores)) < 2:
            msg = f"{self.path}: its {len(pairs)} pairs all have the score {scores[0]}"
            raise EvaluationSetError(msg)
        texts = [text for one in pairs for text in (one.first, one.second)]
        vectors = embedded_texts(embedder, texts, batch_size)
        near = cosines_of_pairs(vectors[0::2], vectors[1::2])
        values = {
            "spearman": (correlation(mean_ranks(near), mean_ranks(scores)), len(pairs)),
            "pearson": (correlation(near, scores), len(pairs)),
            CHANCE: (0.0, len(pairs)),
        }
        return Measured(values, "spearman", dict(aside.counts))

    def _pairs(self, aside: SetAside) -> Iterator[Pair]:
        lines = _lines(self.path)
        rows = _json_rows if _stem(self.path).endswith((".jsonl", ".json")) else _column_rows
        for where, *values in rows(lines, self._fields, self.path, aside):
            first, second, score = values
            number = _number(score)
            if usable_text(first) and usable_text(second) and number is not None:
                yield Pair(cast("str", first), cast("str", second), number)
            else:
                aside.add("pair_not_usable", f"{where}: it needs two sentences and a number")


def open_pairs(path: str, fields: tuple[str, str, str]) -> PairSet:
    """Open a file of pairs.

    Raises:
        EvaluationSetError: There is none.
    """
    file = file_of(path)
    folder, name = _parted(file)
    if not folder.has(name):
        msg = f"{path}: there is no such file of pairs"
        raise EvaluationSetError(msg)
    return PairSet(file, fields)


def file_of(path: str) -> str:
    """The file of a path, which may be a folder that holds it."""
    files, root = at(path)
    beside = f"{root}/{IN_A_FOLDER}"
    return f"{path.rstrip('/')}/{IN_A_FOLDER}" if files.exists(beside) else path


def mean_ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values with the mean of theirs, shape (n,)."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[which]


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's correlation of two vectors, from -1 to 1; 0 where one of them is constant."""
    a, b = one - one.mean(), other - other.mean()
    spread = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return min(1.0, max(-1.0, float(a @ b) / spread)) if spread else 0.0


def cosines_of_pairs(one: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
    """Cosines of unit-length rows, pair by pair, rounded to single precision as all scores are."""
    dots = (one.astype(np.float64) * other).sum(axis=1)
    return dots.astype(np.float32).astype(np.float64)


def _lines(path: str) -> list[bytes]:
    folder, name = _parted(path)
    content = folder.content(name, MAX_FILE_BYTES)
    if name.endswith(".gz"):
        try:
            content = gunzip_bounded(content, MAX_FILE_BYTES)
        except UntrustedError as error:
            msg = f"{path}: {error}"
            raise EvaluationSetError(msg) from error
    return content.splitlines()


def _json_rows(
    lines: Sequence[bytes], fields: tuple[str, str, str], path: str, aside: SetAside
) -> Iterator[tuple[str, object, object, object]]:
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            record = parse_json(line, MAX_LINE_BYTES)
        except UntrustedError as error:
            aside.add("line_not_readable", f"{where}: {error}")
            continue
        known = cast("dict[str, object]", record) if isinstance(record, dict) else {}
        yield where, known.get(fields[0]), known.get(fields[1]), known.get(fields[2])


def _column_rows(
    lines: Sequence[bytes], fields: tuple[str, str, str], path: str, aside: SetAside
) -> Iterator[tuple[str, object, object, object]]:
    columns, start = _columns(lines, fields, path)
    for number, line in enumerate(lines[start:], start + 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        text = decode_text(line[: MAX_LINE_BYTES + 1]).text
        if text is None or len(line) > MAX_LINE_BYTES:
            aside.add("line_not_readable", f"{where}: it is no text of some length")
            continue
        cells = text.split("\t")
        first, second, score = (cells[i].strip() if i < len(cells) else None for i in columns)
        yield where, first, second, score


def _columns(
    lines: Sequence[bytes], fields: tuple[str, str, str], path: str
) -> tuple[tuple[int, int, int], int]:
    """Where sentences and score are, and the number of lines above them."""
    header = (decode_text(lines[0][:MAX_LINE_BYTES]).text or "") if lines else ""
    cells = [cell.strip() for cell in header.split("\t")]
    if all(name in cells for name in fields):
        first, second, score = (cells.index(name) for name in fields)
        return (first, second, score), 1
    if len(cells) > max(STSB_COLUMNS) and _number(cells[STSB_COLUMNS[2]]) is not None:
        return STSB_COLUMNS, 0
    msg = (
        f"{path}: its first line names no columns {', '.join(fields)}, and is none of the STS "
        "benchmark's: name them with `first`, `second` and `score`"
    )
    raise EvaluationSetError(msg)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _stem(path: str) -> str:
    return path.lower().removesuffix(".gz")


def _parted(path: str) -> tuple[SetFolder, str]:
    folder, _, name = path.rstrip("/").rpartition("/")
    return SetFolder.of(folder or ("/" if path.startswith("/") else ".")), name
