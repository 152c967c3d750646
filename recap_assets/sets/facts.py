"""What the filters know of the texts of a pool partition."""

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS, first_texts
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.sets import TEXT_LANGUAGES
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.node import Dependency
from recap_assets.graph.project import Setting
from recap_assets.sets.kinds.text_based.wordnet import load_synsets, load_wordnet, names_a_synset
from recap_assets.sets.texts import n_tokens, n_words
from recap_assets.specs.experiment import RAW
from recap_assets.specs.sets import BasicFilter, CaptionRule, Laion2b, TextBased

TextRule = BasicFilter | Laion2b | TextBased | CaptionRule


def dependencies_of(rule: TextRule | None) -> tuple[Dependency, ...]:
    """What the facts about texts are read from, for the same partition."""
    if rule is None:
        return (Dependency(RAW_POOL.key(), "same"),)
    texts = [] if rule.source == RAW else [SYNTHETIC_CAPTIONS.key(rule.source)]
    told = [TEXT_LANGUAGES.key(rule.identifier, rule.source)] if rule.language else []
    return tuple(Dependency(key, "same") for key in (RAW_POOL.key(), *texts, *told))


def facts_of(
    setting: Setting, rule: TextRule | None, partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    """The facts that `filtering.rules` speaks of, for every usable sample, but score and cluster.

    With `uid`, of one image.
    """
    rows = _samples(setting, partition, uid)
    if rule is None:
        return rows
    texts = first_texts(setting.workspace.tables, rule.source, partition, uid)
    facts = rows.join(_counted(texts, rule), on="uid", how="left", maintain_order="left")
    if not rule.language:
        return facts.with_columns(language=pl.lit(None, pl.String))
    told = setting.workspace.tables.scan(
        TEXT_LANGUAGES, identifier=rule.identifier, source=rule.source, partition=partition
    )
    found = told.select("uid", "language").collect()
    return facts.join(found, on="uid", how="left", maintain_order="left")


def _samples(setting: Setting, partition: str, uid: bytes | None) -> pl.DataFrame:
    rows = setting.workspace.tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    if uid is not None:
        rows = rows.filter(pl.col("uid") == pl.lit(uid))
    # A pool without sizes from before it was resized is judged by those that it has.
    sides = {side: pl.coalesce(f"original_{side}", side) for side in ("width", "height")}
    return rows.select("uid", **sides).collect()


def _counted(texts: pl.DataFrame, rule: TextRule) -> pl.DataFrame:
    listed = texts["text"].to_list()
    columns: dict[str, pl.Series | pl.Expr] = {"n_characters": pl.col("text").str.len_chars()}
    match rule:
        case BasicFilter():
            columns["n_words"] = pl.Series(n_words(listed), dtype=pl.Int64)
        case CaptionRule():
            columns["n_tokens"] = pl.Series(n_tokens(listed), dtype=pl.Int64)
        case TextBased():
            wordnet, synsets = load_wordnet(rule.wordnet), load_synsets(rule.synsets)
            named = names_a_synset(listed, wordnet, synsets, rule.endings)
            columns["names_entity"] = pl.Series(named, dtype=pl.Boolean)
        case Laion2b():
            pass
    return texts.with_columns(**columns)
