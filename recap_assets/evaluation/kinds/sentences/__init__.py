"""Pairs of sentences that people judged."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import Existing
from recap_assets.specs.fields import Address


class SentencesTask(Existing):
    """Similarity of sentences (STS): does the text tower order pairs as people do?

    `spearman` is the rank correlation of the cosines under the trained text tower with the scores
    of people, from -1 to 1, equal values with their mean rank; a tower that gives every pair the
    same cosine has 0, as guessing has (`chance`). `pearson` is given beside it. No image is used.
    Main metric: `spearman`.

    `path` is a file of JSON lines (`.jsonl`, also `.gz`) or of tab-separated columns with a header
    (`.tsv`, `.txt`, `.csv`), with the columns that `first`, `second` and `score` name; or the STS
    benchmark's own files, which have no header and seven columns: genre, file, year, number, score
    and the two sentences. A folder is read as its `pairs.jsonl`.

    A pair without two sentences and a number is set aside and counted. Source: Cer et al. 2017
    (STS benchmark); Spearman as SentEval and MTEB report it.
    """

    kind: Literal["sentences"]
    path: Annotated[str, Address] = Field(
        description="The file of pairs: a local path or an fsspec URL."
    )
    first: str = Field(default="sentence1", description="Field of the first sentence.")
    second: str = Field(default="sentence2", description="Field of the second sentence.")
    score: str = Field(default="score", description="Field of people's score.")

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """The pairs in the file."""
        from recap_assets.evaluation.kinds.sentences.sets import open_pairs

        return open_pairs(self.path, (self.first, self.second, self.score))

    @property
    def place(self) -> str:
        """The file."""
        return self.path

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Correlations may be negative."""
        return {"spearman": (-1.0, 1.0), "pearson": (-1.0, 1.0)}

    def versions(self, name: str) -> Iterator[str]:
        """The file."""
        from recap_assets.evaluation.kinds.sentences.sets import file_of
        from recap_assets.evaluation.versions import file_versions

        yield from file_versions(name, file_of(self.path))
