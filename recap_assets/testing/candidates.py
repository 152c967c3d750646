"""A small pool of captions and scores, for the contracts of conditions and of uses."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.score_view import ScoreView
from recap_assets.specs.columns import scorer_and_name
from recap_assets.specs.mixes import Mix, Rule, columns_read, sets_read
from recap_assets.specs.uses import UseSpec, use_of_source

SCORER = "scorer"
IMAGES = 60
PARTS = 3

_SCHEMA = pl.Schema(
    {
        "uid": pl.Binary,
        "shard": pl.Int32,
        "source": pl.String,
        "candidate": pl.Int16,
        "text": pl.String,
        "score": pl.Float32,
    }
)


def some_candidates(columns: Sequence[str], *, seed: int = 0, gaps: bool = True) -> pl.DataFrame:
    """Captions of several sources, as `select` takes them: ties, and images of one or two captions.

    Args:
        columns: Sources, and score columns `SCORER.SOURCE` of those.
        seed: Of the scores and the texts.
        gaps: Whether some captions have no text, and some no score.
    """
    sources = list(dict.fromkeys(scorer_and_name(name)[1] for name in columns))
    captions = _captions(sources, seed, gaps=gaps)
    others = [name for name in columns if name not in sources]
    return pl.concat([captions, *(_scored_by(captions, i, c) for i, c in enumerate(others))])


def _scored_by(captions: pl.DataFrame, number: int, column: str) -> pl.DataFrame:
    """The same captions of one source, by another scorer: other scores, and the same gaps."""
    _, source = scorer_and_name(column)
    rows = captions.filter(pl.col("source") == source)
    # Another order, with ties: the scores are multiples of 1/20.
    score = ((pl.col("score") * 20 * (3 + 2 * number)).round() % 17 / 20).cast(pl.Float32)
    return rows.with_columns(source=pl.lit(column), text=pl.lit(None, pl.String), score=score)


def _captions(sources: Sequence[str], seed: int, *, gaps: bool) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for image, source in ((i, source) for i in range(IMAGES) for source in sources):
        for candidate in range(int(random.integers(1, 3))):
            text = " ".join(["word"] * int(random.integers(1, 9)))
            score = float(random.integers(0, 20)) / 20
            luck = random.random() if gaps else 1.0
            known = (None, None) if luck < 0.1 else (text, None) if luck < 0.2 else (text, score)
            rows.append((uid_of(image), image // 20, source, candidate, *known))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def uid_of(image: int) -> bytes:
    """16 bytes for a number."""
    return hashlib.blake2b(str(image).encode(), digest_size=16).digest()


def some_sets(mix: Mix) -> Mapping[str, pl.Series]:
    """Every second image for each set that the mix reads."""
    members = [uid_of(image) for image in range(0, IMAGES, 2)]
    return {name: pl.Series(members, dtype=pl.Binary) for name in sets_read(mix)}


def mix_of(use: UseSpec | str, **fields: object) -> Mix:
    """The smallest mix with a use; fields of its rule may be of kinds that are not registered."""
    spec = use_of_source(use) if isinstance(use, str) else use
    rule = Rule(use=use_of_source("raw")).model_copy(update={"use": spec, **fields})
    return Mix(rules=(Rule(use=use_of_source("raw")),)).model_copy(update={"rules": (rule,)})


def read_by(mix: Mix, candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidates of the columns that the mix says it reads, and of no other."""
    return candidates.filter(pl.col("source").is_in(list(columns_read(mix))))


def views_of(candidates: pl.DataFrame) -> Callable[[str], ScoreView]:
    """The scores in each column, as `realise` asks for them."""
    return lambda source: ScoreView(lambda _: [candidates.filter(pl.col("source") == source)])


def cutoffs_of(mix: Mix, candidates: pl.DataFrame) -> pl.DataFrame:
    """The cut-offs of a mix over these candidates."""
    parts = [(candidates, some_sets(mix))]
    return realise(mix, SCORER, views_of(candidates), lambda: parts)


def in_parts(candidates: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    """The same in parts and in another order; all candidates of an image are in one part."""
    uids = candidates["uid"].unique().sort().shuffle(seed)
    for part in range(PARTS):
        chosen = uids.gather_every(PARTS, part).implode()
        yield candidates.filter(pl.col("uid").is_in(chosen)).sample(
            fraction=1.0, shuffle=True, seed=seed
        )
