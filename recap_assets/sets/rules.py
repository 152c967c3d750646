"""The rules of the computed sets: what a sample must be, one requirement after the other.

Each requirement is an expression on a frame of facts, a row a sample:

- `text`, `language`: null where there is none;
- `n_words`, `n_tokens`, `n_characters` of the text; `names_entity`: WordNet's answer;
- `width`, `height`: of the original image, in pixels;
- `score`: null where there is none;
- `cluster`: the nearest centroid; null where there is no embedding; `in_target`;
- `image_score`: of the image alone; null where there is none;
- `kept`: the sample that stands for all that share its image; null where it shares it with none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from recap_assets.specs.sets import (
    BasicFilter,
    CaptionRule,
    ComputedSet,
    ImageBased,
    ImageScoreRule,
    Laion2b,
    NoFilter,
    TextBased,
    Unique,
)

NO_TEXT = "no_text"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Requirement:
    """One thing that a sample of the set must be.

    Attributes:
        reason: What is counted where it is not.
        holds: On the frame of facts; null is not accepted.
        words: What is wrong with a row for which it does not hold.
    """

    reason: str
    holds: pl.Expr
    words: Callable[[Row], str]


def requirements_of(spec: ComputedSet) -> tuple[Requirement, ...]:
    """What the set asks of a sample, in the order in which reasons are given."""
    match spec:
        case NoFilter():
            found: tuple[Requirement, ...] = ()
        case BasicFilter():
            found = (
                *_text(spec),
                _more("word", "n_words", spec.more_than_words),
                _more("character", "n_characters", spec.more_than_characters),
                *_shape(spec),
            )
        case Laion2b():
            found = (*_text(spec), _score(spec.threshold))
        case TextBased():
            found = (*_text(spec), _entity())
        case ImageBased():
            found = (*caption_requirements(spec.captions), *_cluster())
        case Unique():
            found = (_kept(),)
        case ImageScoreRule():
            found = _image_score(spec)
    return found


def caption_requirements(rule: CaptionRule | None) -> tuple[Requirement, ...]:
    """What the image-based filter asks of the text."""
    if rule is None:
        return ()
    return (
        *_text(rule),
        _more("token", "n_tokens", rule.more_than_tokens),
        _more("character", "n_characters", rule.more_than_characters),
    )


def reasons(requirements: Sequence[Requirement], facts: pl.DataFrame) -> pl.Series:
    """The first reason why each sample is not in the set; null where it is."""
    missed = [
        pl.when(~one.holds.fill_null(value=False)).then(pl.lit(one.reason)) for one in requirements
    ]
    first = pl.coalesce(*missed, pl.lit(None, dtype=pl.String))
    # Literals alone would give one row.
    return facts.with_columns(reason=first)["reason"]


def failures(requirements: Sequence[Requirement], facts: pl.DataFrame) -> list[str]:
    """In words, all that keeps one sample out of the set.

    Args:
        requirements: Of the set.
        facts: One row.
    """
    row = facts.row(0, named=True)
    held = facts.select(
        one.holds.fill_null(value=False).alias(str(i)) for i, one in enumerate(requirements)
    )
    wrong = [one for one, good in zip(requirements, held.row(0), strict=True) if not good]
    # Without a text nothing else about it is worth saying.
    has_no_text = row.get("text", "") is None
    return [one.words(row) for one in wrong if not has_no_text or one.reason == NO_TEXT]


def _text(
    rule: BasicFilter | Laion2b | TextBased | CaptionRule,
) -> tuple[Requirement, ...]:
    there = Requirement(
        NO_TEXT, pl.col("text").is_not_null(), lambda _: f"{rule.source} has no text"
    )
    if rule.language is None:
        return (there,)
    return (
        there,
        Requirement(
            "other_language",
            pl.col("language") == rule.language,
            lambda row: (
                f"its language is {row['language']} by {rule.identifier}, not {rule.language}"
            ),
        ),
    )


def _more(unit: str, column: str, too_few: int) -> Requirement:
    def words(row: Row) -> str:
        n = row[column]
        return f"only {n} {unit}{'' if n == 1 else 's'}; more than {too_few} are asked for"

    return Requirement(f"too_few_{unit}s", pl.col(column) > too_few, words)


def _shape(spec: BasicFilter) -> tuple[Requirement, ...]:
    shorter, longer = pl.min_horizontal("width", "height"), pl.max_horizontal("width", "height")
    return (
        Requirement(
            "small_image",
            shorter >= spec.min_side,
            lambda row: f"{row['width']} x {row['height']} pixels; {spec.min_side} are asked for",
        ),
        Requirement(
            "elongated_image",
            longer / shorter <= spec.max_aspect,
            lambda row: (
                f"{row['width']} x {row['height']} pixels, "
                f"{_aspect(row):.4g} : 1; at most {spec.max_aspect:g} : 1 is asked for"
            ),
        ),
    )


def _aspect(row: Row) -> float:
    sides = sorted((row["width"], row["height"]))
    return sides[1] / sides[0]


def _score(threshold: float) -> Requirement:
    # Scores are float32 and numpy compares them so: 0.28 counts where the score is float32(0.28).
    holds = pl.col("score") >= pl.lit(threshold, dtype=pl.Float32)

    def words(row: Row) -> str:
        score = row["score"]
        return "it has no score" if score is None else f"score {score:.5f} < {threshold:g}"

    return Requirement("low_score", holds, words)


def _entity() -> Requirement:
    return Requirement(
        "no_entity",
        pl.col("names_entity"),
        lambda _: "no word of it has its first synset among those asked for",
    )


def _image_score(spec: ImageScoreRule) -> tuple[Requirement, ...]:
    score = pl.col("image_score")
    there = Requirement("no_image_score", score.is_not_null(), lambda _: "its image has no score")
    bounds: list[Requirement] = []
    # As with other scores: a number in the file is compared as a float32.
    if (least := spec.at_least) is not None:
        holds = score >= pl.lit(least, dtype=pl.Float32)
        bounds.append(
            Requirement(
                "low_image_score",
                holds,
                lambda row: f"{spec.scorer} gives it {row['image_score']:.4f} < {least:g}",
            )
        )
    if (most := spec.at_most) is not None:
        holds = score <= pl.lit(most, dtype=pl.Float32)
        bounds.append(
            Requirement(
                "high_image_score",
                holds,
                lambda row: f"{spec.scorer} gives it {row['image_score']:.4f} > {most:g}",
            )
        )
    return (there, *bounds)


def _kept() -> Requirement:
    return Requirement(
        "duplicate",
        pl.col("kept").is_null() | (pl.col("kept") == pl.col("uid")),
        lambda row: f"its image is that of {row['kept'].hex()}, which is kept",
    )


def _cluster() -> tuple[Requirement, ...]:
    return (
        Requirement(
            "no_embedding", pl.col("cluster").is_not_null(), lambda _: "its image has no embedding"
        ),
        Requirement(
            "other_cluster",
            pl.col("in_target"),
            lambda row: f"its cluster {row['cluster']} is that of no target image",
        ),
    )
