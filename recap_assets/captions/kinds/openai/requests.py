"""What a captioning server is asked: an image made small, a prompt, and a seed, as JSON."""

import base64
import hashlib
import json

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.engines.protocols import Image

_MAX_SIDE = 16_384
"""Pixels; a JPEG's side ends at 65,535."""

_SEED_BITS = 31
"""Every server takes a seed of this number of bits; some take no more."""


def small_jpeg(image: Image, max_pixels: int, quality: int) -> bytes:
    """The image as a JPEG of at most `max_pixels`, its shape kept as well as whole pixels allow.

    Args:
        image: RGB of shape (height, width, 3).
        max_pixels: The budget; an image within it keeps its size.
        quality: Of the JPEG, 1 to 100; colour is kept at half the resolution.
    """
    size = fitted(image.shape[1], image.shape[0], max_pixels)
    if size != (image.shape[1], image.shape[0]):
        # The gap lets a much larger image be reduced by whole factors first, which is quick.
        whole = PillowImage.fromarray(image)
        bicubic = PillowImage.Resampling.BICUBIC
        image = np.asarray(whole.resize(size, bicubic, reducing_gap=3.0))
    rows = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(rows, quality=quality, colorsubsampling="420")


def fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest (width, height) of about the same shape with at most `max_pixels`."""
    scale = min((max_pixels / (width * height)) ** 0.5, _MAX_SIDE / max(width, height))
    if scale >= 1:
        return width, height
    # Of a strip thinner than a pixel one pixel is left, and the other side keeps the budget.
    short = max(1, int(min(width, height) * scale))
    long = min(int(max(width, height) * scale), max_pixels // short)
    return (long, short) if width >= height else (short, long)


def seed_of(seed: int, uid: bytes, candidate: int) -> int:
    """31 bits that only (seed, uid, candidate) decide."""
    digest = hashlib.blake2b(uid, digest_size=8, key=str(seed).encode())
    digest.update(candidate.to_bytes(4, "little"))
    return int.from_bytes(digest.digest(), "little") >> (64 - _SEED_BITS)


def request_body(source: OpenAISpec, jpeg: bytes, uid: bytes, candidate: int) -> bytes:
    """One request as canonical JSON: equal bytes ask for the same, whatever the server's address.

    At temperature 0 no seed is sent, so that copies of an image ask for the same.
    """
    decoding = source.decoding
    body: dict[str, object] = {
        **source.extra_body,
        "model": source.model,
        "messages": _messages(source, jpeg),
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        source.max_tokens_field: decoding.max_tokens,
    }
    if decoding.top_k is not None:
        body["top_k"] = decoding.top_k
    if decoding.min_tokens is not None:
        body["min_tokens"] = decoding.min_tokens
    if decoding.temperature > 0:
        body["seed"] = seed_of(decoding.seed, uid, candidate)
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _messages(source: OpenAISpec, jpeg: bytes) -> list[dict[str, object]]:
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    asked: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": source.prompt},
    ]
    messages: list[dict[str, object]] = [{"role": "user", "content": asked}]
    if source.system:
        messages.insert(0, {"role": "system", "content": source.system})
    return messages
