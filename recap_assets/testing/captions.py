"""The contract of a captioner: subclass `CaptioningContract` in a module of tests.

A captioner that keeps it can be built in any batch, order and shard::

    class TestOnnx(CaptioningContract):
        source = OnnxSource(kind="onnx", weights="tiny.onnx")
"""

from collections.abc import Sequence

import numpy as np

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Caption, Captioner, Image
from recap_assets.testing.inputs import Nothing, marked_but_deciding, some_images

STATUSES = ("ok", "truncated", "empty", "refused", "degenerate", "error")


def uids_of(images: Sequence[Image]) -> list[bytes]:
    """A uid of 16 bytes for each image."""
    return [number.to_bytes(16, "big") for number in range(len(images))]


class CaptioningContract:
    """What must hold of every kind below `Captioning`; its tests need `source` alone."""

    source: Captioning
    places: object = Nothing()

    def opened(self) -> Captioner:
        """The captioner, opened again."""
        return self.source.open(self.places)  # type: ignore[arg-type]

    def test_each_image_has_its_candidates_in_order(self) -> None:
        """One list for each image, as long as `candidates` says, or one row that says why not."""
        images = some_images()
        found = self.opened().caption(images, uids_of(images))
        assert len(found) == len(images)
        for captions in found:
            assert len(captions) == self.source.candidates or not _usable(captions)
            assert captions, "an image without a caption has one row that says why"

    def test_what_is_lost_has_a_status_and_what_counts_has_text(self) -> None:
        """No empty text counts as a caption, and no word is said that nobody knows."""
        images = some_images()
        for captions in self.opened().caption(images, uids_of(images)):
            for caption in captions:
                assert caption.status in STATUSES
                assert caption.status not in ("ok", "truncated") or caption.text.strip()

    def test_a_caption_depends_on_its_image_and_uid_alone(self) -> None:
        """The same in any batch and order."""
        images = some_images()
        uids = uids_of(images)
        captioner = self.opened()
        together = captioner.caption(images, uids)
        alone = [
            captioner.caption([image], [uid])[0] for image, uid in zip(images, uids, strict=True)
        ]
        backwards = captioner.caption(images[::-1], uids[::-1])[::-1]
        for one, two, three in zip(together, alone, backwards, strict=True):
            assert _told(one) == _told(two) == _told(three)

    def test_opened_anew_it_writes_the_same(self) -> None:
        """Nothing is remembered from the captions before."""
        images = some_images()
        first = self.opened().caption(images, uids_of(images))
        second = self.opened().caption(images, uids_of(images))
        assert [_told(captions) for captions in first] == [_told(captions) for captions in second]

    def test_the_images_stay_as_they_are(self) -> None:
        """Other captioners and scorers are given the same arrays."""
        images = some_images()
        before = [image.copy() for image in images]
        self.opened().caption(images, uids_of(images))
        assert all(np.array_equal(one, two) for one, two in zip(images, before, strict=True))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.source)


def _usable(captions: Sequence[Caption]) -> bool:
    return any(caption.status in ("ok", "truncated") for caption in captions)


def _told(captions: Sequence[Caption]) -> list[tuple[str, str, int | None]]:
    return [(caption.text, caption.status, caption.n_tokens) for caption in captions]
