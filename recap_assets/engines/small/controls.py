"""What a small captioner can be told about how to write: tokens before the caption.

Alignment bins are those of NoC (Kang et al. 2022, arXiv 2212.13563): how well a text of the corpus
fits its image, in bins of equal size by a scorer; asked for the last bin, the captioner writes as
in the pairs that fit best. Lengths are FlexCap's (Dwibedi et al. 2024, arXiv 2403.12026). Tags say
whose style a caption has, as the user prefixes of User-Aware Prefix-Tuning do (arXiv 2312.04793).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from recap_assets.engines.errors import ModelFileError
from recap_assets.specs.base import Spec


class Controls(Spec):
    """The controls of a captioner, each with the values that it knows; empty for one that has none.

    A caption has a token for each control, in this order.
    """

    alignment: int = Field(default=0, ge=0, le=1_024, description="Bins, 1 for the worst.")
    length: tuple[int, ...] = Field(
        default=(), max_length=1_024, description="Words at most, ascending; the last: or more."
    )
    tag: tuple[str, ...] = Field(default=(), max_length=1_024, description="Whose captions.")
    edges: tuple[float, ...] = Field(
        default=(), max_length=1_024, description="Scores at which the bins after the first begin."
    )

    @classmethod
    def of_config(cls, directory: Path, config: Mapping[str, Any]) -> "Controls":
        """Those that the config of a saved captioner describes.

        Raises:
            ModelFileError: It describes none that can be.
        """
        try:
            return cls.model_validate(config.get("controls", {}))
        except ValidationError as error:
            msg = f"{directory}: its config has no readable controls: build the model again"
            raise ModelFileError(msg) from error

    @property
    def known(self) -> Mapping[str, Sequence[int | str]]:
        """The controls that there are, with their values in the order of their tokens."""
        bins = range(1, self.alignment + 1)
        values: Mapping[str, Sequence[int | str]] = {
            "alignment": bins, "length": self.length, "tag": self.tag,
        }  # fmt: skip
        return {name: some for name, some in values.items() if some}

    @property
    def n_tokens(self) -> int:
        """Tokens of all controls."""
        return sum(map(len, self.known.values()))

    def first_of(self, name: str) -> int:
        """The token of a control's first value, numbered from 0."""
        before = [len(values) for other, values in self.known.items() if _rank(other) < _rank(name)]
        return sum(before)

    def chosen(self, model: str, asked: Mapping[str, object]) -> list[int]:
        """The tokens for one way of writing.

        Args:
            model: The captioner, for messages.
            asked: A value for each control.

        Raises:
            ModelFileError: A control is missing or unknown, or the captioner knows no such value.
        """
        if problem := next(iter(self.problems(asked)), None):
            msg = f"{model}: {problem}"
            raise ModelFileError(msg)
        return [
            self.first_of(name) + values.index(asked[name]) for name, values in self.known.items()
        ]  # type: ignore[arg-type]

    def problems(self, asked: Mapping[str, object]) -> list[str]:
        """What of `asked` does not fit."""
        found = [f"it learned no control {name!r}" for name in asked if name not in self.known]
        for name, values in self.known.items():
            some = ", ".join(map(str, values))
            if name not in asked:
                found.append(f"say which {name} it is to write: {some}")
            elif asked[name] not in values:
                found.append(f"it learned no {name} {asked[name]!r}; it knows {some}")
        return found


def _rank(name: str) -> int:
    return ("alignment", "length", "tag").index(name)


def length_class(text: str, lengths: Sequence[int]) -> int:
    """Number of the first length that a text's words do not exceed; the last for longer ones."""
    n_words = len(text.split())
    return next((i for i, most in enumerate(lengths) if n_words <= most), len(lengths) - 1)
