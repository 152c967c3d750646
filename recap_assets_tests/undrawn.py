"""Charts that nobody looks at: specified as ever, and a single pixel in the place of the drawing.

Drawing is half of what a tiny report costs. Tests of charts, of the page, of hostile pools and of
the whole pipeline draw.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from recap_assets.plots import rendering


class OnePixel:
    """Stands for vl_convert."""

    def __init__(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (1, 1)).save(file, "PNG")
        self.png = file.getvalue()

    def vegalite_to_svg(self, *_: object, **__: object) -> str:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>'

    def vegalite_to_png(self, *_: object, **__: object) -> bytes:
        return self.png


@contextmanager
def charts_undrawn() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "vl_convert", OnePixel())
        yield
