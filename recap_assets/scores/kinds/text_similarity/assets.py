"""The asset of scores by the captions of another source."""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import texts_of
from recap_assets.engines.protocols import TextEmbedder
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.node import Dependency, Node, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read
from recap_assets.scores.embeddings import cosines
from recap_assets.scores.kinds.text_similarity.spec import SentenceEncoder, TextSimilaritySpec
from recap_assets.scores.node import Scored, node_of
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.scores.texts import embedded_texts

VERSION = 1
PAIRS_AT_ONCE = 8_192

_KEPT = KeptOpen()
_PAIR = ["shard", "uid", "candidate"]


def nodes_of(project: Project, name: str, source: str, spec: TextSimilaritySpec) -> list[Node]:
    """The scores of a source."""
    by = spec.encoder or embedding_scorer(project, str(spec.scorer))
    return [
        node_of(
            project,
            name,
            source,
            lambda step: score_partition(project, source, spec, step),
            version=VERSION,
            reads=(
                *map(texts_read, (source, spec.captions)),
                *(Dependency(key, "all") for key in by.trained_by()),
            ),
            outside=outside_of(project, by),
            beside={} if isinstance(by, SentenceEncoder) else {"embedded_by": by},
        )
    ]


def score_partition(project: Project, source: str, spec: TextSimilaritySpec, step: Step) -> Scored:
    """The score of every text whose image has a caption, in one pool partition."""
    tables = project.workspace.tables
    texts = texts_of(tables, source, step.partition)
    own = _telling(texts, spec.without)
    captions = _telling(texts_of(tables, spec.captions, step.partition), spec.without)
    pairs = own.join(captions.select("uid", caption="said"), on="uid")
    both = pl.concat([pairs["said"], pairs["caption"]]).unique().sort()
    place = pl.DataFrame({"said": both}).with_row_index("place")
    with embedded_texts(project, _embedder(project, spec), both) as vectors:
        left = pairs.join(place, on="said", how="left", maintain_order="left")["place"].to_numpy()
        named = place.rename({"said": "caption", "place": "other"})
        right = pairs.join(named, on="caption", how="left", maintain_order="left")["other"]
        found = pairs.select(_PAIR).with_columns(
            score=_in_parts(vectors, left, right.to_numpy(), step)
        )
    best = found.group_by(_PAIR).agg(pl.col("score").max())
    rows = texts.select(_PAIR).join(best, on=_PAIR, how="left", maintain_order="left")
    lost = {
        "nothing_is_left": texts["text"].drop_nulls().len() - own.height,
        "no_caption": own.height - best.height,
    }
    return Scored(rows, texts, lost)


def _in_parts(
    vectors: NDArray[np.float32], left: NDArray[np.uint32], right: NDArray[np.uint32], step: Step
) -> pl.Series:
    scores = np.empty(len(left), np.float32)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        scores[part] = cosines(vectors[left[part]], vectors[right[part]])
        step.progress(min(1.0, part.stop / len(left)))
    return pl.Series(scores)


def _telling(texts: pl.DataFrame, without: Sequence[str]) -> pl.DataFrame:
    """The texts with `said`, what is left of them; those of which nothing is are left out."""
    said = told(texts["text"], without).alias("said")
    return texts.with_columns(said).filter(pl.col("said").str.len_chars() > 0)


def told(texts: pl.Series, without: Sequence[str]) -> pl.Series:
    """Texts without phrases, whatever their case, where these stand as words of their own.

    White space is one space then. A text that has none of them keeps its case and marks.
    """
    if without:
        phrases = "|".join(re.escape(phrase.strip()) for phrase in without)
        texts = texts.str.replace_all(rf"(?i)\b(?:{phrases})\b", " ")
    return texts.str.replace_all(r"\s+", " ").str.strip_chars(" ,.:;-|")


def _embedder(project: Project, spec: TextSimilaritySpec) -> TextEmbedder:
    if spec.encoder is not None:
        return _KEPT.opened(project, spec.encoder)
    return embedder_of(project, str(spec.scorer))
