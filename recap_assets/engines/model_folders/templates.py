"""Chat templates, which are programs: rendered once, in a process that can be ended."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.children import run_child
from recap_assets.untrusted.errors import UntrustedError

SECONDS = 5.0
"""A template takes milliseconds."""
MEMORY_BYTES = 256 * 2**20
MAX_PROMPT_CHARACTERS = 1 << 20


def render_template(
    model: str, template: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> str:
    """The prompt that a template makes of messages.

    A process makes it once: it may load the model again for every partition.

    Args:
        model: What the experiment calls the model, for the error.
        template: Jinja, as the model brings it.
        messages: Of a conversation, in JSON values.
        options: What else the template is given.

    Raises:
        ModelFileError: It loops, fills memory, is no template, or reaches for what it may not.
    """
    task = {"template": template, "messages": messages, "options": options}
    try:
        return _rendered(json.dumps(task), SECONDS, MEMORY_BYTES)
    except UntrustedError as error:
        msg = (
            f"{model}: its chat template cannot be rendered: {error}. A template has "
            f"{SECONDS:g} seconds of computing and {MEMORY_BYTES >> 20} MiB; take the repository "
            "of its makers"
        )
        raise ModelFileError(msg) from error


@lru_cache(maxsize=32)
def _rendered(task: str, seconds: float, memory: int) -> str:
    return run_child(f"{__package__}.template_child", json.loads(task), seconds, memory)


def literal(prompt: str) -> str:
    """A template that gives this text whatever it is given."""
    quoted = "".join(c if c.isalnum() or c in " .,:;<>|_-/" else _escaped(c) for c in prompt)
    return f'{{{{ "{quoted}" }}}}'


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"
