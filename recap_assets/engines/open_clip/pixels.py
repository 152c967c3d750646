"""open_clip's preprocessing of images, in batches and equal to it in every value."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor
from torchvision.transforms import Compose, Normalize, ToTensor

from recap_assets.engines.open_clip.following import Followed, followed
from recap_assets.engines.protocols import Image, Resizing

_LONGEST_STRIP = 16
"""A strip longer than this many times its width is cut to its middle before it is resized: with its
short side scaled to the model's, its long side would grow without bound."""


class PixelTransform:
    """uint8 images of any size to the model's pixels.

    Args:
        preprocess_cfg: `model.visual.preprocess_cfg` of open_clip.

    Attributes:
        followed: Its resizing for a device; None where only Pillow can do it.
    """

    def __init__(self, preprocess_cfg: dict[str, Any]) -> None:
        transform: Any = image_transform_v2(PreprocessCfg(**preprocess_cfg), is_train=False)
        *geometry, to_tensor, normalize = transform.transforms
        if not isinstance(to_tensor, ToTensor) or not isinstance(normalize, Normalize):
            msg = f"open_clip changed its preprocessing: {transform}"
            raise TypeError(msg)
        self._config = sorted(preprocess_cfg.items())
        self._geometry = Compose(geometry)
        self.followed: Followed | None = followed(geometry)
        self._mean = torch.tensor(normalize.mean).view(3, 1, 1)
        self._std = torch.tensor(normalize.std).view(3, 1, 1)

    def __call__(self, images: Sequence[Image], pool: Executor | None = None) -> Tensor:
        """Pixels, float32 of shape (n, 3, height, width); `pool` resizes images side by side."""
        resized = pool.map(self.resize, images) if pool else map(self.resize, images)
        return self.normalize(np.stack(list(resized)))

    def resize(self, image: Image) -> NDArray[np.uint8]:
        """The image resized and cropped, uint8 of shape (height, width, 3)."""
        picture = PIL.Image.fromarray(without_ends(image))
        return np.asarray(self._geometry(picture))

    @property
    def resizing(self) -> Resizing | None:
        """`resize`, where an image of its size passes through it unchanged."""
        shape = self.resize(np.zeros((8, 8, 3), np.uint8)).shape
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        if not np.array_equal(self.resize(noise), noise):
            return None
        return Resizing(f"open_clip {self._config}", shape, self.resize)

    def normalize(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Resized images, shape (n, height, width, 3), as float32 (n, 3, height, width)."""
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        return planes.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)


def without_ends(image: Image) -> Image:
    """The middle of a long strip; any other image as it is."""
    height, width = image.shape[:2]
    longest = _LONGEST_STRIP * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : top + min(height, longest), left : left + min(width, longest)]
