"""From which distributions the kinds of an experiment came, for when one of them is gone."""

import json
from collections.abc import Mapping
from pathlib import Path

from recap_assets.storage.files import write_atomically
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

MAX_BYTES = 2**20


def keep_kinds(path: Path, kinds: Mapping[str, str]) -> None:
    """Keep what gave each kind (`captions.onnx`), beside what was kept before.

    Args:
        path: The file.
        kinds: Distribution and version by family and word; of our own kinds none.
    """
    before = kinds_used(path)
    if (now := {**before, **kinds}) != before:
        write_atomically(path, json.dumps(now, sort_keys=True, indent=1).encode())


def kinds_used(path: Path) -> Mapping[str, str]:
    """What was kept; nothing where there is no file, or a damaged one."""
    try:
        content = path.read_bytes()[:MAX_BYTES]
        found = parse_json(content, MAX_BYTES)
    except (OSError, UntrustedError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): str(what) for name, what in found.items()}
