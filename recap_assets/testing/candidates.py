"""A small pool of captions and scores, for the contracts of conditions and of uses."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from recap_assets.mixes.score_view import ScoreView
from recap_assets.specs.mixes import Mix, Rule, sets_read, sources_read
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


def some_candidates(sources: Sequence[str], *, seed: int = 0, gaps: bool = True) -> pl.DataFrame:
    """Captions of several sources, as `select` takes them: ties, and images of one or two captions.

    Args:
        sources: Their names.
        seed: Of the scores and the texts.
        gaps: Whether some captions have no text, and some no score.
    """
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
    """Candidates of the sources that the mix says it reads, and of no other."""
    return candidates.filter(pl.col("source").is_in(list(sources_read(mix))))


def views_of(candidates: pl.DataFrame) -> Callable[[str], ScoreView]:
    """The scores of each source, as `realise` asks for them."""
    return lambda source: ScoreView(lambda _: [candidates.filter(pl.col("source") == source)])


def in_parts(candidates: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    """The same in parts and in another order; all candidates of an image are in one part."""
    uids = candidates["uid"].unique().sort().shuffle(seed)
    for part in range(PARTS):
        chosen = uids.gather_every(PARTS, part).implode()
        yield candidates.filter(pl.col("uid").is_in(chosen)).sample(
            fraction=1.0, shuffle=True, seed=seed
        )
