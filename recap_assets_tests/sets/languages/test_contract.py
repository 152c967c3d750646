"""The public contract of language identifiers, kept by ours and not by broken ones."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from recap_assets.engines.protocols import LanguageIdentifier
from recap_assets.sets.languages.kind import IdentifierKind
from recap_assets.sets.languages.kinds.cld3 import Cld3Identifier
from recap_assets.sets.languages.kinds.fasttext import FastTextIdentifier
from recap_assets.specs.kinds import kinds_of
from recap_assets.testing.languages import IdentifierContract


class TestBundled(IdentifierContract):
    spec = FastTextIdentifier(kind="fasttext")


class TestNamed(IdentifierContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        model = shutil.copy(FastTextIdentifier(kind="fasttext").path(), tmp_path / "own.ftz")
        self.spec = FastTextIdentifier(kind="fasttext", model=str(model))


class TestCld3(IdentifierContract):
    spec = Cld3Identifier(kind="cld3")


def test_each_kind_is_held() -> None:
    held = {type(one.spec) for one in (TestBundled, TestCld3)}
    assert held == {kind.spec for kind in kinds_of("languages").values() if kind.is_ours}


class Broken(IdentifierKind):
    """Opens what a test gives it."""

    kind: Literal["broken"]

    def open(self) -> LanguageIdentifier:
        return Forgetful()

    def version(self) -> str:
        return "1"


class Forgetful:
    """Takes each text for what the text before it was."""

    before = "en"

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        found = []
        for text in texts:
            found.append((self.before, 0.5))
            self.before = "ja" if not text.isascii() else "en"
        return found


class Losing(Broken):
    """Has no language for a text without words."""

    def open(self) -> LanguageIdentifier:
        return Skipping()


class Skipping:
    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        return [("en", 1.0) for text in texts if text]


class Nameless(Broken):
    """Does not say what it is."""

    def version(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Broken, "test_a_language_depends_on_its_text_alone"),
        (Losing, "test_each_text_has_one_language_with_its_probability"),
        (Nameless, "test_what_tells_has_a_version"),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(kind: type[Broken], test: str) -> None:
    contract = IdentifierContract()
    contract.spec = kind(kind="broken")
    with pytest.raises(AssertionError):
        getattr(contract, test)()
