"""Asking a server of the tests, as an engine does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.kinds.openai.engine import ServerCaptioner, load_server_captioner
from recap_assets.engines.protocols import Caption
from recap_assets_tests.chat_server import MODEL, ChatServer

SHADES = tuple(range(5, 245, 12))
"""Of the images, none of which is the plain grey one."""


def image(shade: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def uid(shade: int) -> bytes:
    return bytes([shade]) * 16


@contextmanager
def opened(
    server: ChatServer | list[ChatServer], replies: Path | None = None, **keys: object
) -> Iterator[ServerCaptioner]:
    several = server if isinstance(server, list) else [server]
    urls = [one.base_url for one in several]
    given = {"kind": "openai", "model": MODEL, "base_url": urls, **keys}
    captioner = load_server_captioner(OpenAISource.model_validate(given), replies)
    try:
        yield captioner
    finally:
        captioner.close()


def ask(
    captioner: ServerCaptioner, shades: tuple[int, ...] | list[int] = SHADES
) -> list[list[Caption]]:
    return captioner.caption([image(s) for s in shades], [uid(s) for s in shades])
