"""The contract of a language identifier: subclass `IdentifierContract` in a module of tests.

::

    class TestLingua(IdentifierContract):
        spec = LinguaIdentifier(kind="lingua")
"""

import shutil
from pathlib import Path

from recap_assets.sets.languages.kind import IdentifierKind
from recap_assets.specs.base import marks_of
from recap_assets.specs.fields import Mark

TEXTS = (
    "A little girl climbing on red roping",
    "Ein kleines Mädchen klettert auf einem roten Seil",
    "",
    "小さな女の子が赤いロープを登っています",
    "a photo\nof a dog",
    "x" * 5_000,
    "🙂",
    "A little girl climbing on red roping",
)


class IdentifierContract:
    """What must hold of every kind of identifier; its tests need `spec` alone."""

    spec: IdentifierKind

    def test_each_text_has_one_language_with_its_probability(self) -> None:
        """In the order of the texts; a text without words has a language as well."""
        identifier = self.spec.open()
        found = identifier.identify(list(TEXTS))
        assert len(found) == len(TEXTS)
        for language, probability in found:
            assert isinstance(language, str)
            assert language
            assert 0 <= probability <= 1.001
        assert list(identifier.identify([])) == []

    def test_a_language_depends_on_its_text_alone(self) -> None:
        """The same in any batch and order."""
        identifier = self.spec.open()
        together = identifier.identify(list(TEXTS))
        alone = [identifier.identify([text])[0] for text in TEXTS]
        backwards = identifier.identify(list(TEXTS[::-1]))[::-1]
        assert list(together) == alone == list(backwards)

    def test_opened_anew_it_says_the_same(self) -> None:
        """Nothing is remembered from the texts before."""
        first = self.spec.open().identify(list(TEXTS))
        assert list(first) == list(self.spec.open().identify(list(TEXTS)))

    def test_what_tells_has_a_version(self) -> None:
        """One line, the same as long as nothing is installed or replaced."""
        for version in (self.spec.version, self.spec.deciding_version):
            assert version().strip()
            assert "\n" not in version()
            assert version() == version()

    def test_the_bytes_of_its_files_decide_and_their_place_does_not(self, tmp_path: Path) -> None:
        """For each file that a field of it names."""
        before = self.spec.deciding_version()
        for field, place in self.spec.contents().items():
            copy = tmp_path / f"copied_{place.name}"
            shutil.copy(place, copy)
            moved = self.spec.model_copy(update={field: str(copy)})
            assert moved.deciding_version() == before
            with copy.open("ab") as file:
                file.write(b"more")
            assert moved.deciding_version() != before

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        marks = marks_of(type(self.spec)).items()
        assert not {n for n, mark in marks if isinstance(mark, Mark)} & self.spec.decides().keys()
