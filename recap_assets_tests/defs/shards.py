"""Real tars of noise images, as img2dataset writes them."""

import io
import json
import tarfile
from pathlib import Path

from PIL import Image


def write_shard(folder: Path, number: int, texts: list[str | None], suffix: str = ".tar") -> Path:
    """A tar with an image for each text; the first file names are the shard's number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:08d}{suffix}"
    with tarfile.open(path, "w") as tar:
        for i, text in enumerate(texts):
            members = {"jpg": _jpeg(100 * number + i), "json": _facts(100 * number + i)}
            if text is not None:
                members["txt"] = text.encode()
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{number:05d}{i:04d}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def _jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 10 + shade).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def _facts(uid: int) -> bytes:
    return json.dumps({"uid": f"{uid:032x}"}).encode()
