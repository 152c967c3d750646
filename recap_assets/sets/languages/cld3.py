"""CLD3, Google's network of character n-grams, through a maintained build of gcld3."""

from collections.abc import Sequence

import gcld3  # pyright: ignore[reportMissingTypeStubs]

from recap_assets.specs.sets import Cld3Identifier


class Cld3:
    """CLD3 as DataComp's laion2b filter calls it: a line break counts as a space."""

    def __init__(self, spec: Cld3Identifier) -> None:
        self._model = gcld3.NNetLanguageIdentifier(
            min_num_bytes=spec.min_bytes, max_num_bytes=spec.max_bytes
        )

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """BCP-47 codes and probabilities; `und` where the text is too short."""
        found = (self._model.FindLanguage(text=text.replace("\n", " ")) for text in texts)
        return [(one.language, one.probability) for one in found]
