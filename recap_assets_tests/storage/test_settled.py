"""Versions that hold on while the content is what it was."""

from pathlib import Path

from recap_assets.storage.settled import settled_version


class Place:
    """A place whose content and looks a test sets; counts how often it is hashed."""

    def __init__(self, kept: Path) -> None:
        self.kept, self.n_hashed = kept, 0

    def version(self, look: str, content: str, *, learns: bool = True, writes: bool = True) -> str:
        def hashed() -> str:
            self.n_hashed += 1
            return content

        listed = f"listed {look}"
        return settled_version(
            self.kept, "place", look, listed, hashed, learns=learns, writes=writes
        )


def test_content_that_was_there_before_has_the_version_that_it_had(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.version("monday", "cats") == "listed monday"
    assert place.version("tuesday", "cats") == "listed monday"
    assert place.version("friday", "dogs") == "listed friday"
    assert place.version("sunday", "cats") == "listed monday"
    assert place.n_hashed == 4
    assert place.version("sunday", "cats") == "listed monday"
    assert place.n_hashed == 4


def test_other_content_of_an_equal_listing_has_another_version(tmp_path: Path) -> None:
    def version(look: str, content: str) -> str:
        return settled_version(tmp_path, "place", look, "same", lambda: content, learns=True)

    assert version("monday", "cats") == "same"
    assert version("tuesday", "dogs") != "same"
    assert version("friday", "cats") == "same"


def test_a_look_is_believed_where_nothing_is_known(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.version("monday", "cats", learns=False) == "listed monday"
    assert place.version("tuesday", "cats", learns=False) == "listed tuesday"
    assert place.n_hashed == 0
    place.version("monday", "cats")
    for state in tmp_path.glob("*.json"):
        state.write_text("[1")
    assert place.version("friday", "cats", learns=False) == "listed friday"


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.version("monday", "cats", writes=False)
    assert not list(tmp_path.iterdir())


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for number in range(100):
        place.version(f"look {number}", f"content {number}")
    (state,) = tmp_path.iterdir()
    assert state.stat().st_size < 4_096
