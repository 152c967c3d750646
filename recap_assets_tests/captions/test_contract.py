"""The public contract of captioners, kept by kinds of ours and of somebody else."""

from pathlib import Path

import pytest

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Caption, Captioner, Image, Places
from recap_assets.testing.captions import CaptioningContract
from recap_assets_tests.third_party.package.recap_shades import ShadesSource


class TestShades(CaptioningContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        (tmp_path / "words.txt").write_text("dark grey bright")
        self.source = ShadesSource(kind="shades", words=str(tmp_path / "words.txt"), candidates=2)


class Forgetful(ShadesSource):
    """Says of each image how many came before."""

    def open(self, places: Places) -> Captioner:  # noqa: ARG002
        return Counting()


class Counting:
    n = 0

    def caption(self, images: list[Image], uids: list[bytes]) -> list[list[Caption]]:  # noqa: ARG002
        found = []
        for _ in uids:
            self.n += 1
            found.append([Caption(f"image {self.n}")])
        return found


class Silent(ShadesSource):
    """Gives empty captions for good ones."""

    def open(self, places: Places) -> Captioner:  # noqa: ARG002
        return Saying([Caption(" ")])


class Losing(ShadesSource):
    """Leaves an image without a row."""

    def open(self, places: Places) -> Captioner:  # noqa: ARG002
        return Saying([])


class Saying:
    def __init__(self, captions: list[Caption]) -> None:
        self.captions = captions

    def caption(self, images: list[Image], uids: list[bytes]) -> list[list[Caption]]:  # noqa: ARG002
        return [self.captions for _ in uids]


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Forgetful, "test_a_caption_depends_on_its_image_and_uid_alone"),
        (Silent, "test_what_is_lost_has_a_status_and_what_counts_has_text"),
        (Losing, "test_each_image_has_its_candidates_in_order"),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(kind: type[Captioning], test: str) -> None:
    contract = CaptioningContract()
    contract.source = kind(kind="shades", words="none")  # type: ignore[call-arg]
    with pytest.raises(AssertionError):
        getattr(contract, test)()
