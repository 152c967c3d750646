"""Finished exports that are quickly made, to push."""

import json
from pathlib import Path
from typing import Any

from recap_assets.exports.checksums import checksums_of
from recap_assets.storage.folders import Folder


def written(folder: Path, shards: dict[str, bytes], **mark: Any) -> Folder:
    """A finished export with these shards, as `finish` leaves one."""
    out = Folder(str(folder))
    out.remove_all()
    identity = {"recap_export": 1, "experiment": "demo", "export": "published",
                "options": {"mix": "best", "to": "huggingface"}, **mark}  # fmt: skip
    contents = {
        "README.md": f"---\nlicense: cc0-1.0\n---\n# {len(shards)} shards\n".encode(),
        "export.json": json.dumps(identity).encode(),
        "records/00000000.json": b"{}",
        "partition-00000.json": b"{}",
        **{f"data/train-{name}.parquet": content for name, content in shards.items()},
    }
    files = [out.write(name, content) for name, content in contents.items()]
    out.write("checksums.json", checksums_of(files))
    return out


def shards(n: int, size: int = 1_000, salt: str = "") -> dict[str, bytes]:
    return {f"{k:08d}": f"{salt}{k}".encode().ljust(size, b".") for k in range(n)}
