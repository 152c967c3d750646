"""How a model is measured by queries of an image and a condition."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.measuring import CHANCE, Measured, MeasuringSet, SetAside
from recap_assets.evaluation.kinds.conditional.reading import NO_CATEGORY, Key, Queries, Query
from recap_assets.evaluation.metrics import hit_fraction, positive_ranks
from recap_assets.evaluation.zero_shot import Embeddings, cosines, embedded_texts

Combination = Literal["sum", "image", "text"]
MAIN = "recall@1"
ALONE = {"image": "image_alone_recall@1", "text": "text_alone_recall@1"}


@dataclass
class _Category:
    ranks: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    chance: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class ConditionalSet(MeasuringSet):
    """Queries with their galleries.

    Attributes:
        path: The folder, as it was given.
    """

    path: str
    _queries: Queries = field(repr=False)
    _combine: Combination
    _ks: tuple[int, ...]

    def images(self, size: int) -> Iterator[list[Image]]:
        """Every image once."""
        for _keys, images in self._queries.pictures(size, SetAside()):
            yield images

    def expected(self) -> Iterator[object]:
        """Reference, condition, targets and gallery of each query."""
        for one in self._queries.queries(SetAside()):
            yield one.reference, one.condition, one.targets, one.gallery

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `ConditionalTask`."""
        aside = SetAside()
        keys: list[Key] = []
        parts: list[Embeddings] = []
        for of_batch, images in self._queries.pictures(batch_size, aside):
            keys += of_batch
            parts.append(embedder.embed_images(images))
        aside.refuse_if_nothing_is_left(self.path, len(keys), "image")
        rows, images = {key: row for row, key in enumerate(keys)}, np.concatenate(parts)
        queries = [one for one in self._queries.queries(aside) if _has_all(one, rows, aside)]
        aside.refuse_if_nothing_is_left(self.path, len(queries), "query")
        conditions = embedded_texts(embedder, [one.condition for one in queries], batch_size)
        found: dict[str, _Category] = defaultdict(_Category)
        for one, condition in zip(queries, conditions, strict=True):
            self._count(found[one.category], one, condition, images, rows)
        return Measured(self._values(found), MAIN, dict(aside.counts))

    def _count(
        self,
        category: _Category,
        one: Query,
        condition: Embeddings,
        images: Embeddings,
        rows: Mapping[Key, int],
    ) -> None:
        right = [rows[key] for key in one.targets]
        wrong = _wrong(one, right, rows)
        candidates = np.concatenate([images[right], images[wrong]])
        is_right = (np.arange(len(candidates)) < len(right))[None]
        reference = images[rows[one.reference]]
        for how in ("sum", "image", "text"):
            query = combined(reference, condition, how)
            rank = positive_ranks(cosines(query[None], candidates), is_right)[0]
            category.ranks[how].append(int(rank))
        category.chance.append(len(right) / len(candidates))

    def _values(self, found: Mapping[str, _Category]) -> dict[str, tuple[float, int]]:
        n = sum(len(one.chance) for one in found.values())
        values: dict[str, tuple[float, int]] = {}
        for k in self._ks:
            by_category = {
                name: _hits(one.ranks[self._combine], k) for name, one in sorted(found.items())
            }
            values[f"recall@{k}"] = _mean([*by_category.values()]), n
            if [*found] != [NO_CATEGORY]:
                for name, value in by_category.items():
                    values[f"recall@{k}:{name}"] = value, len(found[name].chance)
        for how, metric in ALONE.items():
            values[metric] = _mean([_hits(one.ranks[how], 1) for one in found.values()]), n
        values[CHANCE] = _mean([_mean(one.chance) for one in found.values()]), n
        return values


def combined(image: Embeddings, text: Embeddings, how: Combination) -> Embeddings:
    """The query that an image and a text make.

    Args:
        image: Unit length, shape (dim,).
        text: Unit length, shape (dim,).
        how: `sum` is their sum at unit length, zero where they cancel out.
    """
    if how != "sum":
        return image if how == "image" else text
    total = image.astype(np.float64) + text
    norm = float(np.linalg.norm(total))
    return (total / (norm or 1.0)).astype(np.float32)


def _has_all(one: Query, rows: Mapping[Key, int], aside: SetAside) -> bool:
    for key in one.keys:
        if key not in rows:
            aside.add("image_of_query_missing", f"{one.where}: there is no usable image {key[0]!r}")
            return False
    return True


def _wrong(one: Query, right: Sequence[int], rows: Mapping[Key, int]) -> NDArray[np.int64]:
    """Rows of the wrong candidates."""
    if one.gallery is not None:
        return np.array([rows[key] for key in one.gallery], np.int64)
    others = np.ones(len(rows), np.bool_)
    others[[*right, rows[one.reference]]] = False
    return np.flatnonzero(others)


def _hits(ranks: Sequence[int], k: int) -> float:
    return hit_fraction(np.array(ranks, np.int64), k)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
