"""What the card of an export says: what it holds, and how its mix came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CARD = "README.md"


class Ancestor(NamedTuple):
    """An asset that a mix was made of, as its receipts have it.

    Attributes:
        asset: Its key.
        version: One data version for all its partitions.
        code_versions: Of its partitions, sorted: hashes of the code and of what decides.
        reads: Keys of the assets that it read, sorted.
    """

    asset: str
    version: str
    code_versions: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Curation:
    """How a mix came about.

    Attributes:
        experiment: Name of the experiment.
        mix: Name of the mix.
        rules: The mix as the experiment writes it, in JSON values.
        cutoffs: The cut-offs as realised, a mapping each.
        sources: What wrote the captions of each source, in JSON values.
        scorer: What scored them, in JSON values.
        versions: Versions of what the export was made from: `recap verify` compares them.
        is_drawn: Whether the pool was drawn by the program itself.
        languages: Codes of the languages of its texts as they were measured, most texts first.
        ancestors: All that the mix was made of, what was read before what read it; none where the
            receipts are not of these pairs.
    """

    experiment: str
    mix: str
    rules: Mapping[str, object]
    cutoffs: Sequence[Mapping[str, object]]
    sources: Mapping[str, Mapping[str, object]]
    scorer: Mapping[str, object]
    versions: Mapping[str, str]
    is_drawn: bool = False
    languages: Sequence[str] = ()
    ancestors: Sequence[Ancestor] = ()

    @property
    def has_copies(self) -> bool:
        """Whether the mix has pairs several times."""
        return "copies" in self.rules


@dataclass(frozen=True)
class Holdings:
    """What an export holds.

    Attributes:
        n_samples: Samples, rows, or uids.
        n_pairs: Pairs of the mix that they stand for.
        n_bytes: Bytes of its shards.
        by_source: Samples by the source of their text.
        left_out: Pairs of the mix that are not in it, by reason.
    """

    n_samples: int
    n_pairs: int
    n_bytes: int
    by_source: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def code(text: str, language: str = "python") -> str:
    """A block of code in markdown."""
    return f"```{language}\n{text}\n```"
