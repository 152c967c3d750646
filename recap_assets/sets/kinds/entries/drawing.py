"""How often entries occur, with which probability each is drawn, and for which texts it is."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.draws import mix64, uid_hashes
from recap_assets.sets.hashed_words import as_signed, text_hashes


def tail_share(counts: NDArray[np.int64], t: int) -> float:
    """The share of all matches that is of entries with fewer than t."""
    total = counts.sum()
    return float(counts[counts < t].sum() / total) if total else 0.0


def limit_of(counts: NDArray[np.int64], share: float) -> int:
    """The t for which about this share of all matches is of entries with fewer.

    Of the counts in ascending order, the one up to which the matches come nearest to the share; at
    least 1.
    """
    ordered = np.sort(counts)
    if not ordered.sum():
        return 1
    portions = np.cumsum(ordered) / ordered.sum()
    return max(int(ordered[np.abs(portions - share).argmin()]), 1)


def limits(counts: pl.DataFrame, sizes: dict[str, int], t: int, t_of: str) -> dict[str, int]:
    """The t of each language.

    Args:
        counts: language, entry, n: of entries that occur.
        sizes: Entries of each language's list.
        t: That of the language `t_of`, or of the only list.
        t_of: The language.
    """
    if t_of not in sizes:
        return dict.fromkeys(sizes, t)
    by_language = {language: _with_zeros(counts, language, n) for language, n in sizes.items()}
    share = tail_share(by_language[t_of], t)
    others = {name: limit_of(found, share) for name, found in by_language.items()}
    return {**others, t_of: t}


def _with_zeros(counts: pl.DataFrame, language: str, size: int) -> NDArray[np.int64]:
    found = counts.filter(pl.col("language") == language)["n"].to_numpy()
    return np.append(found, np.zeros(size - len(found), np.int64)).astype(np.int64)


def probabilities(counts: pl.DataFrame, limits_by_language: dict[str, int]) -> pl.DataFrame:
    """The entries that more texts hold than t: language, entry, n, probability."""
    known = {"language": list(limits_by_language), "t": list(limits_by_language.values())}
    found = counts.join(
        pl.DataFrame(known, schema={"language": pl.String, "t": pl.Int64}), on="language"
    )
    common = found.filter(pl.col("n") > pl.col("t"))
    return common.select(
        "language", "entry", "n", probability=pl.col("t").cast(pl.Float64) / pl.col("n")
    ).sort("language", "entry")


def with_draws(held: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Texts and their entries with `is_drawn`.

    Args:
        held: uid, entry and probability, null for 1.
        seed: Of the draw, which is a function of (seed, uid, entry).
    """
    distinct = held["entry"].unique()
    hashes = pl.DataFrame({"entry": distinct, "hash": as_signed(text_hashes(distinct))})
    of_entry = held.join(hashes, on="entry", how="left", maintain_order="left")["hash"].to_numpy()
    bits = mix64(uid_hashes(seed, "entries", held["uid"]) ^ of_entry.view(np.uint64))
    drawn = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return held.with_columns(
        is_drawn=pl.Series(drawn, dtype=pl.Float64) < pl.col("probability").fill_null(1.0)
    )
